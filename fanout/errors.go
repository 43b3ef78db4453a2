package fanout

import "errors"

var (
	// ErrBusy says that an event was not published because undelivered bytes are at their limit. The same event may be published later.
	ErrBusy = errors.New("fanout: too many undelivered bytes")
	// ErrForms says that the hub has no number left for one more form.
	ErrForms = errors.New("fanout: more than 32 forms")
)
