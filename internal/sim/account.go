package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// accountBefore is how much of what happened before a violation an account tells.
	accountBefore = 20 * time.Second
	// accountLines bounds it.
	accountLines = 400
	// accountOps is how many of the operations on a key are told, the last before the violation.
	accountOps = 60
)

// account tells what led to the first violation: what happened in the world, where it is about a tablet without what is
// about other tablets alone, and, where it is about a key, what clients did with that.
func (r *run) account() string {
	v := r.w.violations[0]
	from, to := v.At-accountBefore, v.At
	var lines []line
	if k := r.keyOf(v); k != nil {
		lines = slices.DeleteFunc(k.lines(), func(l line) bool { return l.at > to })
		if n := len(lines); n > accountOps {
			lines = lines[n-accountOps:]
		}
		from = min(from, lines[0].at-time.Second)
	}
	lines = append(lines, r.w.chronicle.between(from, to, v.about)...)
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", v.Text)
	if len(lines) > accountLines {
		fmt.Fprintf(&b, "(%d earlier lines are left out)\n", len(lines)-accountLines)
		lines = lines[len(lines)-accountLines:]
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s  %s\n", clock(l.at), strings.ReplaceAll(strings.TrimSpace(l.text), "\n", "\n            "))
	}
	return b.String()
}

func (r *run) keyOf(v Violation) *keyHistory {
	if v.Key == "" || r.load == nil {
		return nil
	}
	for _, k := range r.load.histories {
		if k.name == v.Key {
			return k
		}
	}
	return nil
}
