package peer

import (
	"encoding/binary"
	"sync"
)

// keepBuffer is the largest buffer that is kept for the next round; a burst's memory is given back.
const keepBuffer = 1 << 20

// outbox is what waits to be written on one connection: frames one after the other in one buffer, and at most one
// ping and one pong, which go first. Senders append while the writer writes the buffer that it took before.
type outbox struct {
	// wake has room for one signal; the writer waits on it after take has returned nothing.
	wake chan struct{}

	mu sync.Mutex
	// All below is guarded by mu.
	pending []byte // frames that wait
	spare   []byte // an empty buffer for the next round
	frames  int    // frames in pending
	taken   int    // bytes that the writer has taken and not yet written
	awake   bool   // the writer runs or has been signalled
	closed  bool
	ping    pulse
	pong    pulse
}

// pulse is a keepalive frame to be sent. A newer one takes the place of one that still waits.
type pulse struct {
	set   bool
	nanos int64
}

func newOutbox() outbox { return outbox{wake: make(chan struct{}, 1)} }

// add appends one frame. limit bounds what waits, including what is being written.
func (o *outbox) add(payload []byte, limit int) error {
	h := header(kindData, payload)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrNoConnection
	}
	if o.taken+len(o.pending)+frameHeader+len(payload) > limit {
		return ErrQueueFull
	}
	o.pending = append(append(o.pending, h[:]...), payload...)
	o.frames++
	o.rouse()
	return nil
}

// beat queues a ping or a pong.
func (o *outbox) beat(k kind, nanos int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if k == kindPing {
		o.ping = pulse{true, nanos}
	} else {
		o.pong = pulse{true, nanos}
	}
	o.rouse()
}

// rouse wakes the writer, once until it sleeps again. mu is held.
func (o *outbox) rouse() {
	if o.awake {
		return
	}
	o.awake = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take appends the keepalive frames that wait to beats and returns the other frames, and how many they are. When
// there is neither, the writer may sleep until wake. data, nil when there is none, is given back with written.
func (o *outbox) take(beats []byte) (control, data []byte, frames int, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, nil, 0, true
	}
	control = o.appendBeats(beats)
	if len(o.pending) == 0 {
		// The buffer stays here: given away it would come back as spare and be two buffers at once.
		o.awake = len(control) > 0
		return control, nil, 0, false
	}
	data, frames = o.pending, o.frames
	o.pending, o.spare, o.frames = o.spare[:0], nil, 0
	o.taken = len(data)
	return control, data, frames, false
}

// progress says how much of the taken buffer is still to be written, and appends the keepalive frames that have
// come since, so that they need not wait for the rest.
func (o *outbox) progress(left int, beats []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = left
	return o.appendBeats(beats)
}

// appendBeats moves the keepalive frames that wait to dst. mu is held.
func (o *outbox) appendBeats(dst []byte) []byte {
	if o.ping.set {
		dst = appendPulse(dst, kindPing, o.ping.nanos)
	}
	if o.pong.set {
		dst = appendPulse(dst, kindPong, o.pong.nanos)
	}
	o.ping, o.pong = pulse{}, pulse{}
	return dst
}

// written gives a taken buffer back.
func (o *outbox) written(buf []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken = 0
	if buf != nil && cap(buf) <= keepBuffer {
		o.spare = buf[:0]
	}
}

// size returns the bytes that wait or are being written.
func (o *outbox) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken + len(o.pending)
}

// close refuses further frames, forgets those that wait, and wakes the writer.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.pending, o.spare, o.frames = nil, nil, 0
	o.awake = false
	o.rouse()
}

// cut returns the length of the longest run of whole frames at the start of data within limit bytes, or of the
// first frame when that alone is longer.
func cut(data []byte, limit int) int {
	if len(data) <= limit {
		return len(data)
	}
	n := 0
	for n < len(data) {
		frame := frameHeader + int(binary.BigEndian.Uint32(data[n:])&frameLimit)
		if n > 0 && n+frame > limit {
			break
		}
		n += frame
	}
	return n
}
