package workload

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// maxExplained bounds how many keys are explained when a history is wrong: the first ones explain the others.
const maxExplained = 3

// Check returns nil when what was recorded is linearizable, key by key. That it could not be found out in time is a
// failure. Where it is not linearizable, the file picture shows the first wrong key's history, the same file with
// the suffix .txt tells it for a person to follow, and so does the error, from shortly before the first answer that
// cannot be explained.
func (h *History) Check(timeout time.Duration, picture string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	deadline := time.Now().Add(timeout)
	var errs []error
	var told strings.Builder
	for _, key := range slices.Sorted(maps.Keys(h.ops)) {
		ops := h.ops[key]
		switch porcupine.CheckOperationsTimeout(model, ops, max(time.Until(deadline), time.Millisecond)) {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			errs = append(errs, fmt.Errorf("the history of %s, %d operations, could not be judged within %s", key, len(ops), timeout))
		case porcupine.Illegal:
			if len(errs) == 0 {
				errs = append(errs, draw(ops, picture, timeout))
			}
			first := firstWrong(ops, time.Until(deadline))
			errs = append(errs, fmt.Errorf("the history of %s is not linearizable:\n%s", key, tell(ops, first, shownBefore)))
			fmt.Fprintf(&told, "%s\n%s\n", key, tell(ops, first, math.MaxInt))
		}
		if len(errs) > maxExplained {
			errs = append(errs, errors.New("no further keys are judged"))
			break
		}
	}
	if told.Len() > 0 {
		errs = append(errs, os.WriteFile(picture+".txt", []byte(told.String()), 0o644))
	}
	return errors.Join(errs...)
}

// Keep writes all that was recorded into a file, key by key, for a person to follow: what is left of a run that went wrong in
// another way than by a history that is known to be wrong.
func (h *History) Keep(file string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var told strings.Builder
	for _, key := range slices.Sorted(maps.Keys(h.ops)) {
		fmt.Fprintf(&told, "%s\n%s\n", key, tell(h.ops[key], -1, math.MaxInt))
	}
	return os.WriteFile(file, []byte(told.String()), 0o644)
}

func draw(ops []porcupine.Operation, picture string, timeout time.Duration) error {
	_, info := porcupine.CheckOperationsVerbose(model, ops, timeout)
	file, err := os.Create(picture)
	if err != nil {
		return err
	}
	defer file.Close()
	return porcupine.Visualize(model, info, file)
}

// firstWrong returns the index of the operation, in the order of answers, with whose answer a history stops being
// linearizable. What had been asked and not answered by then may or may not have happened.
func firstWrong(ops []porcupine.Operation, timeout time.Duration) int {
	deadline := time.Now().Add(timeout)
	byAnswer := slices.Clone(ops)
	slices.SortStableFunc(byAnswer, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	answered := slices.IndexFunc(byAnswer, func(op porcupine.Operation) bool { return op.Return == math.MaxInt64 })
	if answered < 0 {
		answered = len(byAnswer)
	}
	// Linearizability is closed under prefixes, so the first wrong one can be found by halving.
	low, high := 0, answered
	for low < high {
		middle := (low + high) / 2
		if porcupine.CheckOperationsTimeout(model, until(byAnswer, middle), max(time.Until(deadline), time.Millisecond)) == porcupine.Ok {
			low = middle + 1
		} else {
			high = middle
		}
	}
	wrong := byAnswer[min(low, answered-1)]
	return slices.IndexFunc(ops, func(op porcupine.Operation) bool { return op == wrong })
}

// until returns the history as it was known when the operation at place last was answered.
func until(byAnswer []porcupine.Operation, last int) []porcupine.Operation {
	known := slices.Clone(byAnswer[:last+1])
	for _, op := range byAnswer[last+1:] {
		if op.Call < byAnswer[last].Return && op.Input.(input).verb != get {
			op.Output, op.Return = output{unknown: true}, math.MaxInt64
			known = append(known, op)
		}
	}
	return known
}

// shownBefore is how many operations before the first wrong one an error shows.
const shownBefore = 12

// tell writes a history in the order of answers, with what was never answered at the time when it was asked, so many
// operations up to the one at place first, which it marks; -1: none.
func tell(ops []porcupine.Operation, first, before int) string {
	marked := func(op porcupine.Operation) bool { return first >= 0 && op == ops[first] }
	sorted := slices.Clone(ops)
	at := func(op porcupine.Operation) int64 {
		if op.Return == math.MaxInt64 {
			return op.Call
		}
		return op.Return
	}
	slices.SortStableFunc(sorted, func(a, b porcupine.Operation) int { return cmp.Compare(at(a), at(b)) })
	last := slices.IndexFunc(sorted, marked)
	from := 0
	if before < last {
		from = last - before
	}
	if before == math.MaxInt {
		last = len(sorted) - 1
	}
	var b strings.Builder
	for _, op := range sorted[from : last+1] {
		in := op.Input.(input)
		span := fmt.Sprintf("%9.3f .. %9.3f s", seconds(op.Call), seconds(op.Return))
		if op.Return == math.MaxInt64 {
			span = fmt.Sprintf("%9.3f ..           s", seconds(op.Call))
		}
		fmt.Fprintf(&b, "  %s  client %-3d at %s: %s", span, op.ClientId, in.via, describe(in, op.Output.(output)))
		if marked(op) {
			b.WriteString("   <-- cannot be explained")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func seconds(nanos int64) float64 { return time.Duration(nanos).Seconds() }
