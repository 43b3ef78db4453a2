// Package report turns the runs of a result.Report into what people read: Markdown, ratios as text, charts and verdicts.
//
//	err := report.Markdown(w, r, map[string]string{"memory": "memory.svg"})
//	err = report.WriteRatios(w, r, report.Floor)
//	for _, c := range report.Charts(r) {
//		err = report.SVG(w, c)
//	}
//	for _, v := range report.Judge(r) {
//		fmt.Println(v.Goal.Name, v.State, v.Figure)
//	}
//
// # What is compared
//
// Runs belong together when scenario and shape are the same; messages, processes and generators may differ. No topic counts as one, no
// burst as bursts of one, and no subscriptions as one for each connection. Several runs of one server in one round count as their median.
//
// A figure of a server is the median over its rounds, with the least and the most. A ratio is formed within each round first, so that
// what the machine did meanwhile is in both parts, and then the median over rounds is taken. A round in which one of the two failed, is
// missing or did not measure the figure is left out; how many rounds are left is told.
//
// # What is not said
//
// A failed run has no figures, only its reason. When a floor costs over 1.3 times the plain send loop, nothing is held against floors. A
// verdict is never drawn from a run whose generator was the limit, unless it is about memory; nor from one without the shape that
// the goal names: that is "not measured". A server that lost, repeated or disordered messages misses every goal of that run.
//
// The order of the runs changes nothing, and the same report gives the same bytes. Strings of a report are text, whatever is in them.
package report
