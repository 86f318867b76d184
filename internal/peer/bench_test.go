package peer

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quorddb/quord/internal/ident"
)

// BenchmarkCalls is 64 callers that each send 150 bytes to the other node and wait for 20 bytes back, as a forwarded
// request or an append does.
func BenchmarkCalls(b *testing.B) {
	const callers = 64
	keys := testKeys(2)
	client := &answers{waiting: make([]chan struct{}, callers), lost: make(chan error, 1)}
	for i := range client.waiting {
		client.waiting[i] = make(chan struct{}, 1)
	}
	server := &echo{}
	a := open(b, keys[0], listen(b), func(cfg *Config) { cfg.Handler = client })
	z := open(b, keys[1], listen(b), func(cfg *Config) { cfg.Handler = server })
	server.t.Store(z.Transport)
	if _, err := a.DialSeed(b.Context(), z.addr); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			question := make([]byte, 150)
			binary.BigEndian.PutUint32(question, uint32(i))
			for left.Add(-1) >= 0 {
				if err := a.Send(z.ID(), question); err != nil {
					b.Error(err)
					return
				}
				select {
				case <-client.waiting[i]:
				case cause := <-client.lost:
					b.Error(cause)
					client.lost <- cause
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// echo answers each frame with its first 20 bytes.
type echo struct {
	recorderless
	t atomic.Pointer[Transport]
}

func (e *echo) Receive(from ident.NodeID, payload []byte) {
	if err := e.t.Load().Send(from, payload[:20]); err != nil {
		panic(err)
	}
}

// answers wakes the caller that a frame is for.
type answers struct {
	recorderless
	waiting []chan struct{}
	lost    chan error
}

func (a *answers) Disconnected(_ ident.NodeID, cause error) { a.lost <- cause }

func (a *answers) Receive(_ ident.NodeID, payload []byte) {
	a.waiting[binary.BigEndian.Uint32(payload)] <- struct{}{}
}

// recorderless ignores everything but frames.
type recorderless struct{}

func (recorderless) Connected(Peer)                      {}
func (recorderless) Disconnected(ident.NodeID, error)    {}
func (recorderless) Refused(string, ident.NodeID, error) {}
