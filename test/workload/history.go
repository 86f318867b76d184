package workload

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
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

// History records what several clients do to registers and counters, through random nodes, and judges it.
type History struct {
	nodes  *Nodes
	prefix string
	start  time.Time
	unique atomic.Int64 // numbers the values written, so that each read tells whose value it saw

	mu    sync.Mutex
	keys  []keyInUse            // guarded by mu; even places are registers, odd ones counters
	made  int                   // guarded by mu; keys made so far
	ops   []porcupine.Operation // guarded by mu
	wrong []error               // guarded by mu
}

type keyInUse struct {
	name         string
	ops, unknown int
}

// NewHistory returns a history over so many keys at a time, whose names begin with prefix.
func NewHistory(nodes *Nodes, prefix string, keys int) *History {
	h := &History{nodes: nodes, prefix: prefix, start: time.Now(), keys: make([]keyInUse, keys)}
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

// Run keeps clients busy until ctx ends.
func (h *History) Run(ctx context.Context, clients int) error {
	var wg sync.WaitGroup
	for id := range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				h.step(ctx, id)
			}
		})
	}
	wg.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.wrong...)
}

// step does one operation and records it.
func (h *History) step(ctx context.Context, client int) {
	in := h.choose()
	call := time.Since(h.start)
	out, err := h.do(context.WithoutCancel(ctx), in)
	ret := time.Since(h.start)
	op := porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(ret)}
	switch OutcomeOf(err) {
	case Done:
		h.record(op)
	case NotApplied:
		rest(ctx)
	case Unknown:
		if in.verb != get { // a read without an answer says nothing
			op.Output, op.Return = output{unknown: true}, math.MaxInt64
			h.record(op)
		}
		rest(ctx)
	case Unexpected:
		h.mu.Lock()
		if len(h.wrong) < maxWrong {
			h.wrong = append(h.wrong, fmt.Errorf("%v: %w", in, err))
		}
		h.mu.Unlock()
	}
}

func (h *History) choose() input {
	h.mu.Lock()
	place := rand.IntN(len(h.keys))
	key := h.keys[place].name
	h.mu.Unlock()
	verbs := []verb{get, get, set, swap, del}
	if place%2 == 1 {
		verbs = []verb{get, incr}
	}
	return input{key: key, verb: verbs[rand.IntN(len(verbs))], value: strconv.FormatInt(h.unique.Add(1), 10)}
}

func (h *History) do(ctx context.Context, in input) (output, error) {
	client := h.nodes.Random()
	switch in.verb {
	case get:
		return found(client.Get(ctx, in.key).Result())
	case set:
		return output{}, client.Set(ctx, in.key, in.value, 0).Err()
	case swap:
		return found(client.SetArgs(ctx, in.key, in.value, redis.SetArgs{Get: true}).Result())
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
	h.ops = append(h.ops, op)
	in := op.Input.(input)
	place := slices.IndexFunc(h.keys, func(k keyInUse) bool { return k.name == in.key })
	if place < 0 {
		return // given up meanwhile
	}
	h.keys[place].ops++
	if op.Output.(output).unknown {
		h.keys[place].unknown++
	}
	if h.keys[place].ops >= maxOpsPerKey || h.keys[place].unknown >= maxUnknownPerKey {
		h.keys[place] = h.newKey()
	}
}

// Summary says what was recorded.
func (h *History) Summary() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	unknown := 0
	for _, op := range h.ops {
		if op.Output.(output).unknown {
			unknown++
		}
	}
	return fmt.Sprintf("%d operations on %d keys, %d with unknown outcome", len(h.ops), h.made, unknown)
}

// Check returns nil when what was recorded is linearizable. That it could not be found out in time is a failure.
// Where it is not linearizable, a picture of the history is written to the file picture.
func (h *History) Check(timeout time.Duration, picture string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, timeout)
	switch result {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("the history of %d operations could not be judged within %s", len(h.ops), timeout)
	}
	err := errors.New("the history is not linearizable")
	file, openErr := os.Create(picture)
	if openErr != nil {
		return errors.Join(err, openErr)
	}
	defer file.Close()
	if drawErr := porcupine.Visualize(model, info, file); drawErr != nil {
		return errors.Join(err, drawErr)
	}
	return fmt.Errorf("%w: see %s", err, picture)
}
