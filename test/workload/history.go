package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
)

// A key is given up for a new one when so many operations, or so many writes with unknown outcome, have been
// recorded: each unknown write doubles what the checker may have to try.
const (
	maxOpsPerKey     = 80
	maxUnknownPerKey = 4
)

// History records what several clients do to registers and counters, through all nodes, and judges it.
type History struct {
	// Pause is how long a client rests after each operation; it is set before Run.
	Pause time.Duration
	// Start is the moment from which times are told; that of NewHistory unless it is set before Run.
	Start time.Time

	nodes  *Nodes
	prefix string
	unique atomic.Int64 // numbers the values written, so that each read tells whose value it saw

	mu    sync.Mutex
	keys  []keyInUse                       // guarded by mu; even places are registers, odd ones counters
	made  int                              // guarded by mu; keys made so far
	ops   map[string][]porcupine.Operation // guarded by mu; by key
	wrong []error                          // guarded by mu
}

type keyInUse struct {
	name         string
	ops, unknown int
}

// NewHistory returns a history over so many keys at a time, whose names begin with prefix.
func NewHistory(nodes *Nodes, prefix string, keys int) *History {
	h := &History{
		nodes: nodes, prefix: prefix, Start: time.Now(), keys: make([]keyInUse, keys),
		ops: map[string][]porcupine.Operation{},
	}
	for i := range h.keys {
		h.keys[i] = h.newKey()
	}
	return h
}

// newKey returns a key never used before. The caller holds mu, or is the only one.
func (h *History) newKey() keyInUse {
	h.made++
	return keyInUse{name: h.prefix + strconv.Itoa(h.made)}
}

// Run keeps clients busy until ctx ends. Each stays with one node while that serves it, and goes to the next one when
// it does not, so that a node which answers nobody does not hold up all of them.
func (h *History) Run(ctx context.Context, clients int) error {
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			place := id
			for ctx.Err() == nil {
				if !h.step(ctx, id, place) {
					place++
					_ = Rest(ctx, backoff) // the loop sees the end itself
				} else if h.Pause > 0 {
					_ = Rest(ctx, h.Pause) // the loop sees the end itself
				}
			}
		})
	}
	wg.Wait()
	return h.Wrong()
}

// Wrong returns the replies so far that a command should never get.
func (h *History) Wrong() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.wrong...)
}

// step does one operation and records it; it returns whether the node has served it.
func (h *History) step(ctx context.Context, client, place int) bool {
	conn, addr := h.nodes.At(place)
	return h.once(ctx, client, conn, h.choose(addr))
}

func (h *History) once(ctx context.Context, client int, conn *redis.Client, in input) bool {
	call := time.Since(h.Start)
	// A command that has been sent is waited for even when ctx ends meanwhile: cutting it off would make it unknown.
	out, err := do(context.WithoutCancel(ctx), conn, in)
	ret := time.Since(h.Start)
	op := porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(ret)}
	switch OutcomeOf(err) {
	case Done:
		h.record(op)
		return true
	case Unknown:
		if in.verb != get { // a read without an answer says nothing
			op.Output, op.Return = output{unknown: true}, math.MaxInt64
			h.record(op)
		}
	case Unexpected:
		h.mu.Lock()
		if len(h.wrong) < maxWrong {
			h.wrong = append(h.wrong, fmt.Errorf("%s through %s: %w", describe(in, output{unknown: true}), in.via, err))
		}
		h.mu.Unlock()
	}
	return false
}

func (h *History) choose(via string) input {
	h.mu.Lock()
	place := rand.IntN(len(h.keys))
	key := h.keys[place].name
	h.mu.Unlock()
	verbs := []verb{get, get, get, set, set, swap, swapNew, take, del}
	if place%2 == 1 {
		verbs = []verb{get, incr}
	}
	in := input{key: key, verb: verbs[rand.IntN(len(verbs))], value: strconv.FormatInt(h.unique.Add(1), 10), via: via}
	in.lives = in.verb == set && rand.IntN(2) == 0
	return in
}

func do(ctx context.Context, client *redis.Client, in input) (output, error) {
	switch in.verb {
	case get:
		return found(client.Get(ctx, in.key).Result())
	case set:
		ttl := time.Duration(0)
		if in.lives {
			ttl = time.Hour
		}
		return output{}, client.Set(ctx, in.key, in.value, ttl).Err()
	case swap:
		return found(client.SetArgs(ctx, in.key, in.value, redis.SetArgs{Get: true}).Result())
	case swapNew:
		return found(client.SetArgs(ctx, in.key, in.value, redis.SetArgs{Mode: "NX", Get: true}).Result())
	case take:
		return found(client.GetDel(ctx, in.key).Result())
	case del:
		n, err := client.Del(ctx, in.key).Result()
		return output{value: strconv.FormatInt(n, 10)}, err
	default:
		n, err := client.Incr(ctx, in.key).Result()
		return output{value: strconv.FormatInt(n, 10)}, err
	}
}

func found(value string, err error) (output, error) {
	if errors.Is(err, redis.Nil) {
		return output{absent: true}, nil
	}
	return output{value: value}, err
}

func (h *History) record(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := op.Input.(input)
	h.ops[in.key] = append(h.ops[in.key], op)
	for place := range h.keys {
		key := &h.keys[place]
		if key.name != in.key {
			continue // if none is it, the key has been given up meanwhile
		}
		key.ops++
		if op.Output.(output).unknown {
			key.unknown++
		}
		if key.ops >= maxOpsPerKey || key.unknown >= maxUnknownPerKey {
			*key = h.newKey()
		}
	}
}

// Summary says what was recorded.
func (h *History) Summary() string {
	ops, keys, unknown := h.Count()
	return fmt.Sprintf("%d operations on %d keys, %d with unknown outcome", ops, keys, unknown)
}

// Count returns how many operations were recorded, on how many keys, and how many of them have an unknown outcome.
func (h *History) Count() (ops, keys, unknown int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, history := range h.ops {
		ops += len(history)
		for _, op := range history {
			if op.Output.(output).unknown {
				unknown++
			}
		}
	}
	return ops, h.made, unknown
}

// ReadAll reads every key that was ever used, once more, through all nodes, and records what it saw: so an acknowledged
// write that is lost shows even where nobody had read the key since. It is called when no Run is under way.
func (h *History) ReadAll(ctx context.Context, workers int) error {
	h.mu.Lock()
	keys := make([]string, 0, len(h.ops))
	for key := range h.ops {
		keys = append(keys, key)
	}
	h.mu.Unlock()
	var next atomic.Int64
	return each(ctx, workers, keys, func(ctx context.Context, key string) error {
		client := int(next.Add(1))
		for tries := 0; ; tries++ {
			conn, addr := h.nodes.At(client + tries)
			if h.once(ctx, client, conn, input{key: key, verb: get, via: addr}) {
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("read %s at the end: %w", key, context.Cause(ctx))
			}
			_ = Rest(ctx, backoff) // the loop sees the end itself
		}
	})
}
