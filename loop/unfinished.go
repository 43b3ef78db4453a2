package loop

// begun notes that a message has come in part.
func (l *Loop) begun(c *Conn) {
	c.ext.tick = l.now
	if c.flags&flagPartial == 0 {
		c.flags |= flagPartial
		l.partial = append(l.partial, c.ref)
	}
}

// checkUnfinished ends connections that take too long over a message. Only those that have one incomplete are looked at.
func (l *Loop) checkUnfinished() {
	for i := len(l.partial) - 1; i >= 0; i-- {
		c := l.slab.find(l.partial[i])
		if c != nil && c.state == open && c.ext != nil && c.ext.dec != nil {
			if l.now-c.ext.tick <= ticks(l.lim.Unfinished) {
				continue
			}
			l.shut(c, 1008, "message_timeout: a message took too long", MessageTimeout)
		}
		if c != nil {
			c.flags &^= flagPartial
		}
		last := len(l.partial) - 1
		l.partial[i] = l.partial[last]
		l.partial = l.partial[:last]
	}
}
