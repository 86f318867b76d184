package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
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

// History records what several clients do to registers, counters and pairs of keys, through all nodes, and judges it.
type History struct {
	// Pause is how long a client rests after each operation; it is set before Run.
	Pause time.Duration
	// Start is the moment from which times are told; that of NewHistory unless it is set before Run.
	Start time.Time

	nodes  *Nodes
	prefix string
	unique atomic.Int64 // numbers the values written, so that each read tells whose value it saw

	mu    sync.Mutex
	keys  []keyInUse                       // guarded by mu; of each kind in turn
	made  int                              // guarded by mu; keys made so far
	ops   map[string][]porcupine.Operation // guarded by mu; by key
	wrong []error                          // guarded by mu
}

type keyInUse struct {
	name         string
	kind         kind
	ops, unknown int
}

// kind says what is done with a key.
type kind uint8

const (
	aRegister kind = iota
	aCounter
	aPair // two keys of one slot
	kinds
)

// verbs are what is done with a key, each as often as it is named.
var verbs = [kinds][]verb{
	aRegister: {get, get, get, set, set, swap, swapNew, take, del},
	aCounter:  {get, incr},
	aPair:     {getBoth, getBoth, getBoth, setBoth, setBoth, newBoth, delBoth, set, take},
}

// partner returns the second key of a pair.
func partner(key string) string { return strings.TrimSuffix(key, "a") + "b" }

// NewHistory returns a history over so many keys at a time, whose names begin with prefix.
func NewHistory(nodes *Nodes, prefix string, keys int) *History {
	h := &History{
		nodes: nodes, prefix: prefix, Start: time.Now(), keys: make([]keyInUse, keys),
		ops: map[string][]porcupine.Operation{},
	}
	for i := range h.keys {
		h.keys[i] = h.newKey(kind(i) % kinds)
	}
	return h
}

// newKey returns a key never used before. The caller holds mu, or is the only one.
func (h *History) newKey(k kind) keyInUse {
	h.made++
	name := h.prefix + strconv.Itoa(h.made)
	if k == aPair {
		name = "{" + name + "}a"
	}
	return keyInUse{name: name, kind: k}
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
		if !in.verb.reads() { // a read without an answer says nothing
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
	key := h.keys[rand.IntN(len(h.keys))]
	h.mu.Unlock()
	some := verbs[key.kind]
	in := input{key: key.name, verb: some[rand.IntN(len(some))], value: strconv.FormatInt(h.unique.Add(1), 10), via: via}
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
	case getBoth:
		return foundBoth(client.MGet(ctx, in.key, partner(in.key)).Result())
	case setBoth:
		return output{}, client.MSet(ctx, in.key, in.value, partner(in.key), in.value).Err()
	case newBoth:
		done, err := client.MSetNX(ctx, in.key, in.value, partner(in.key), in.value).Result()
		if done {
			return output{value: "1"}, err
		}
		return output{value: "0"}, err
	case delBoth:
		n, err := client.Del(ctx, in.key, partner(in.key)).Result()
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

func foundBoth(values []any, err error) (output, error) {
	if err != nil {
		return output{}, err
	}
	if len(values) != 2 {
		return output{}, fmt.Errorf("MGET of two keys answers %d values", len(values))
	}
	first, there := values[0].(string)
	second, both := values[1].(string)
	return output{value: first, absent: !there, second: half{second, both}}, nil
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
			*key = h.newKey(key.kind)
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
	looks := make([]input, 0, len(h.ops))
	for key := range h.ops {
		look := input{key: key, verb: get}
		if strings.HasPrefix(key, "{") {
			look.verb = getBoth
		}
		looks = append(looks, look)
	}
	h.mu.Unlock()
	var next atomic.Int64
	return each(ctx, workers, looks, func(ctx context.Context, look input) error {
		client := int(next.Add(1))
		for tries := 0; ; tries++ {
			conn, addr := h.nodes.At(client + tries)
			look.via = addr
			if h.once(ctx, client, conn, look) {
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("read %s at the end: %w", look.key, context.Cause(ctx))
			}
			_ = Rest(ctx, backoff) // the loop sees the end itself
		}
	})
}
