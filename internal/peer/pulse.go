package peer

import (
	"encoding/binary"
	"time"
)

// measureEvery is after how many PingEvery a connection that is in use is asked for its round trip.
const measureEvery = 10

// pulses sends a ping on every connection on which nothing has left for PingEvery, and now and then on the others, for
// the round trip. It ends those on which nothing has arrived for Silence: it is how a connection whose other end vanished
// without a word is noticed. An answer is a sign of life too, so that on an idle connection one side does the asking.
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
			if now-c.wrote.Load() > int64(t.cfg.PingEvery)*3/4 || now-c.asked > measureEvery*int64(t.cfg.PingEvery) {
				c.asked = now
				c.out.beat(kindPing, now)
			}
		}
	}
}

// pulseTime reads the payload of a ping or a pong.
func pulseTime(payload []byte) int64 { return int64(binary.BigEndian.Uint64(payload)) }
