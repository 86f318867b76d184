package peer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The tests below run in virtual time, over pipes.

// The other end of a connection may vanish without a word: a cable, a virtual machine that is gone. Requests to it
// would hang if silence were not noticed.
func TestSilenceEndsAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, a, b := openPair(t)
		time.Sleep(time.Minute + 10*time.Millisecond) // keepalive alone keeps it; no ping is due at the moment of the cut
		a.quiet(t)
		b.quiet(t)
		last := time.Now()
		p.last().tear(p.last().near) // a hears of it, b does not
		if e := a.next(t, "disconnected"); !errors.Is(e.err, ErrHungUp) {
			t.Errorf("the near side heard %v", e.err)
		}
		if e := b.next(t, "disconnected"); !errors.Is(e.err, ErrSilent) {
			t.Errorf("the far side heard %v, want ErrSilent", e.err)
		}
		if took := time.Since(last); took > 1500*time.Millisecond {
			t.Errorf("silence was noticed after %v, want at most Silence and two pings", took)
		}
	})
}

// A handler that is busy for long is not the other node's silence.
func TestOwnSlownessIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := openPair(t)
		mustSend(t, a, b.ID(), "block")
		time.Sleep(8 * time.Second) // less than WriteTimeout
		close(b.unblock)
		b.next(t, "receive")
		time.Sleep(8 * time.Second)
		a.quiet(t)
		b.quiet(t)
	})
}

// A node that takes nothing any more must not hold the memory of what waits for it for ever.
func TestStalledConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := openPair(t)
		mustSend(t, a, b.ID(), "block")
		for range 100 {
			mustSend(t, a, b.ID(), "%100000d", 0)
		}
		if e := a.next(t, "disconnected"); !errors.Is(e.err, ErrStalled) {
			t.Errorf("heard %v, want ErrStalled", e.err)
		}
		close(b.unblock)
	})
}

// When one side has lost the connection and the other has not noticed, they must be connected again at once, whichever
// of them is the senior, and not only when the silence has been long enough.
func TestHalfOpenConnectionIsReplaced(t *testing.T) {
	for loser, name := range []string{"senior", "junior"} {
		t.Run(name+" loses it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, keys := newPipes(), testKeys(2)
				a, b := openPiped(t, p, keys[loser], "a"), openPiped(t, p, keys[1-loser], "b")
				a.SetPeer(b.ID(), "b")
				a.next(t, "connected")
				b.next(t, "connected")
				lost := time.Now()
				p.last().tear(p.last().near)
				a.next(t, "disconnected")
				a.next(t, "connected")
				if e := b.next(t, "disconnected"); !errors.Is(e.err, ErrReplaced) {
					t.Errorf("the other side heard %v, want ErrReplaced", e.err)
				}
				b.next(t, "connected")
				if took := time.Since(lost); took > 100*time.Millisecond {
					t.Errorf("connected again after %v", took)
				}
				mustSend(t, b, a.ID(), "hello")
				a.next(t, "receive")
			})
		})
	}
}

// A restarted process must be let in at once, though the connection of the one before it still seems to be there.
func TestRestartedProcessReplacesItsConnection(t *testing.T) {
	for restarted, name := range []string{"senior", "junior"} {
		t.Run(name+" restarts", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, keys := newPipes(), testKeys(2)
				a, b := openPiped(t, p, keys[restarted], "a"), openPiped(t, p, keys[1-restarted], "b")
				a.SetPeer(b.ID(), "b")
				a.next(t, "connected")
				b.next(t, "connected")
				p.last().tear(p.last().near)
				if err := a.Close(); err != nil {
					t.Fatal(err)
				}
				a = openPiped(t, p, keys[restarted], "a")
				a.SetPeer(b.ID(), "b")
				a.next(t, "connected")
				if e := b.next(t, "disconnected"); !errors.Is(e.err, ErrReplaced) {
					t.Errorf("heard %v, want ErrReplaced", e.err)
				}
				b.next(t, "connected")
			})
		})
	}
}

// A node that is down must be tried again soon, and a cluster must not beat on it for hours.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, keys := newPipes(), testKeys(2)
		a := openPiped(t, p, keys[0], "a")
		began := time.Now()
		a.SetPeer(idOf(keys[1]), "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		p.mu.Lock()
		dials := p.dials
		p.mu.Unlock()
		if wait := dials[0].Sub(began); wait > 10*time.Millisecond {
			t.Errorf("the first attempt came after %v", wait)
		}
		if n := len(dials); n < 60 || n > 130 {
			t.Errorf("%d attempts in a minute, want about one a second", n)
		}
		for i := range dials[1:] {
			if wait := dials[i+1].Sub(dials[i]); wait > time.Second {
				t.Errorf("attempt %d came %v after the one before it", i+1, wait)
			}
		}
		// The node comes up: it is found within the longest wait.
		b := openPiped(t, p, keys[1], "b")
		up := time.Now()
		a.next(t, "connected")
		b.next(t, "connected")
		if wait := time.Since(up); wait > time.Second {
			t.Errorf("found after %v", wait)
		}
		// After a connection that lasted, the first attempt is quick again.
		time.Sleep(2 * time.Second)
		gone := time.Now()
		p.last().tear(p.last().near)
		a.next(t, "disconnected")
		a.next(t, "connected")
		if wait := time.Since(gone); wait > 20*time.Millisecond {
			t.Errorf("connected again after %v", wait)
		}
	})
}

// A new address must be tried at once, and not when the wait for the old one is over.
func TestNewAddressIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, keys := newPipes(), testKeys(2)
		a, b := openPiped(t, p, keys[0], "a"), openPiped(t, p, keys[1], "b")
		a.SetPeer(b.ID(), "nowhere")
		time.Sleep(time.Minute)
		moved := time.Now()
		a.SetPeer(b.ID(), "b")
		a.next(t, "connected")
		if wait := time.Since(moved); wait > 20*time.Millisecond {
			t.Errorf("connected after %v", wait)
		}
	})
}

// Two nodes that cannot keep a connection must not spend their time on making one.
func TestShortLivedConnectionsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, keys := newPipes(), testKeys(2)
		a, b := openPiped(t, p, keys[0], "a"), openPiped(t, p, keys[1], "b")
		a.SetPeer(b.ID(), "b")
		began := time.Now()
		connects := 0
		for time.Since(began) < time.Minute {
			a.next(t, "connected")
			b.next(t, "connected")
			connects++
			p.last().near.Close()
			a.next(t, "disconnected")
			b.next(t, "disconnected")
		}
		if connects > 150 {
			t.Errorf("%d connections in a minute, each lost at once", connects)
		}
	})
}

// What is measured must be the way to the other node and back.
func TestRoundTripIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := openPair(t)
		time.Sleep(10*time.Second + time.Millisecond)
		m := a.Metrics().Peers[0]
		if m.ID != b.ID() || !m.Connected || m.Connects != 1 || m.BytesIn == 0 || m.BytesOut == 0 || m.FramesIn != 0 {
			t.Errorf("metrics are %+v", m)
		}
		heard, ok := a.LastHeard(b.ID())
		if !ok || time.Since(heard) > 200*time.Millisecond {
			t.Errorf("last heard %v ago (%v), want within one ping", time.Since(heard), ok)
		}
		if _, ok := a.LastHeard(a.ID()); ok {
			t.Error("heard of a node that is not connected")
		}
		// In virtual time a pipe has no latency, so the sample is fed.
		c := (*a.live.Load())[b.ID()]
		for _, sample := range []time.Duration{-1, 8 * time.Millisecond, 16 * time.Millisecond, 2 * time.Hour} {
			if sample == 8*time.Millisecond {
				c.rtt.Store(0)
			}
			c.measure(sample)
		}
		if got := a.Metrics().Peers[0].RTT; got != 9*time.Millisecond {
			t.Errorf("the smoothed round trip of 8 and 16 ms is %v, want 9ms", got)
		}
	})
}

// A peer that opens a connection and never says the rest must be let go.
func TestHandshakeHasADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, keys := newPipes(), testKeys(1)
		a := openPiped(t, p, keys[0], "a")
		nc, err := p.dial(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the acceptor spoke first")
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("closed after %v, want HandshakeTimeout", took)
		}
		synctest.Wait()
		if got := a.Metrics().Failed; got != 1 {
			t.Errorf("%d handshakes failed, want 1", got)
		}
	})
}

// Waits grow, stay under the bound, and never collapse to nothing.
func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "least"))
		most := least + time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "more"))
		b := backoff{least: least, most: most}
		if d := b.next(); d < 0 || d >= least {
			t.Fatalf("the first wait is %v, want less than %v", d, least)
		}
		turn := least
		for range 80 {
			turn = min(2*turn, most)
			if d := b.next(); d < turn/2 || d > turn {
				t.Fatalf("a wait of %v, want %v to %v", d, turn/2, turn)
			}
		}
	})
}
