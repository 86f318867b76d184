package peer

import (
	"encoding/binary"
	"time"
)

// pulses sends a ping on every connection each PingEvery, and ends those on which nothing has arrived for Silence. It
// is how a connection whose other end vanished without a word is noticed.
func (t *Transport) pulses() {
	ticker := time.NewTicker(t.cfg.PingEvery)
	defer ticker.Stop()
	last := t.nanos()
	for {
		select {
		case <-ticker.C:
		case <-t.ctx.Done():
			return
		}
		now := t.nanos()
		// A pulse that is itself late comes from a process that was stopped or starved; what arrived meanwhile may
		// not have been read yet, so nobody is judged before the next one.
		late := now-last > 2*int64(t.cfg.PingEvery)
		last = now
		for _, c := range *t.live.Load() {
			if since := c.waiting.Load(); since != 0 && !late && now-since > int64(t.cfg.Silence) {
				c.close(ErrSilent)
				continue
			}
			c.out.beat(kindPing, now)
		}
	}
}

// pulseTime reads the payload of a ping or a pong.
func pulseTime(payload []byte) int64 { return int64(binary.BigEndian.Uint64(payload)) }
