package server

import (
	"fmt"
	"slices"

	"github.com/quorddb/quord/internal/command"
	"github.com/quorddb/quord/internal/request"
	"github.com/quorddb/quord/internal/resp"
	"github.com/quorddb/quord/internal/slot"
)

// mergeBound is the most bytes of values that MGET answers from several tablets. From one it is command.MaxReply.
func (c *Config) mergeBound() int { return 16 * c.MaxOutput }

// split cuts a command whose keys lie in several tablets into one command for each tablet.
func (b *batch) split(c *call, spec *command.Spec, args [][]byte) {
	first, last, step := spec.KeyRange(len(args))
	n := (last-first)/step + 1
	c.kind, c.from, c.keys = splitCall, len(b.parts), len(b.partOf)

	// Which tablet each key is in, and how many keys each tablet has.
	index := make(map[uint32]int32, min(n, b.tablets))
	var tablets []uint32
	var counts []int
	for i := first; i <= last; i += step {
		t := slot.Tablet(slot.Of(args[i]), b.tablets)
		p, seen := index[t]
		if !seen {
			p = int32(len(tablets))
			index[t] = p
			tablets, counts = append(tablets, t), append(counts, 0)
		}
		counts[p]++
		b.partOf = append(b.partOf, p)
	}
	// One command each: the name, then its keys with what stands behind each.
	space := make([][]byte, 0, len(tablets)+n*step)
	commands := make([][][]byte, len(tablets))
	sizes := make([]int, len(tablets))
	for p := range tablets {
		size := 1 + counts[p]*step
		commands[p] = append(space[len(space):len(space):len(space)+size], args[0])
		space = space[:len(space)+size]
	}
	for j, i := 0, first; i <= last; i, j = i+step, j+1 {
		p := b.partOf[c.keys+j]
		word := args[i:min(i+step, len(args))]
		commands[p] = append(commands[p], word...)
		for _, w := range word {
			sizes[p] += len(w)
		}
	}
	for p, t := range tablets {
		b.parts = append(b.parts, b.add(t, spec.IsWrite(), commands[p], sizes[p]))
	}
	c.to = len(b.parts)
}

// merge appends the reply of a split call, put together from those of its parts.
func (b *batch) merge(out []byte, c *call) []byte {
	parts := b.parts[c.from:c.to]
	done, text := 0, ""
	uncertain := false
	for _, p := range parts {
		reply, failure := p.reply()
		switch {
		case failure != nil:
			uncertain = uncertain || failure.Code == request.Uncertain
			if text == "" {
				text = failure.Error()
			}
		case isError(reply):
			if text == "" {
				text = string(reply[1:max(1, len(reply)-2)])
			}
		default:
			done++
		}
	}
	if text != "" {
		if c.entry.spec.IsWrite() && (done > 0 || uncertain) {
			// None of the codes that promise that nothing was applied may be given.
			text = fmt.Sprintf("%s the keys lie in %d tablets, of which %d have been written; the first of the others answered: %s",
				request.Uncertain, len(parts), done, text)
		}
		return resp.AppendError(out, text)
	}
	switch c.entry.spec.Split {
	case command.Sum:
		var sum int64
		for _, p := range parts {
			reply, _ := p.reply()
			n, _, err := resp.IntAt(reply)
			if err != nil {
				return appendInternal(out, reply)
			}
			sum += n
		}
		return resp.AppendInt(out, sum)
	case command.Gather:
		return b.gather(out, c, parts)
	default: // command.All: every part has said OK
		return append(out, "+OK\r\n"...)
	}
}

// gather puts the elements of the parts' arrays into the order of the call's keys.
func (b *batch) gather(out []byte, c *call, parts []place) []byte {
	start := len(out)
	rest := make([][]byte, len(parts))
	n := 0
	for i, p := range parts {
		reply, _ := p.reply()
		size, elements, err := resp.Elements(reply)
		if err != nil {
			return appendInternal(out, reply)
		}
		n += size
		rest[i] = elements
		out = slices.Grow(out, len(elements))
	}
	keys := b.partOf[c.keys : c.keys+n]
	out = resp.AppendArray(out, n)
	for _, p := range keys {
		size, err := resp.Len(rest[p])
		if err != nil {
			return appendInternal(out[:start], rest[p])
		}
		out = append(out, rest[p][:size]...)
		rest[p] = rest[p][size:]
	}
	return out
}

// reply returns the reply at a place, or why there is none.
func (p place) reply() ([]byte, *request.Failure) {
	if p.at < len(p.run.answers) {
		return p.run.answers[p.at], nil
	}
	return nil, p.run.Failure
}

func isError(reply []byte) bool { return len(reply) > 0 && (reply[0] == '-' || reply[0] == '!') }

// appendInternal answers instead of a reply that does not fit its command, which is a fault of this program.
func appendInternal(out, reply []byte) []byte {
	return resp.AppendError(out, fmt.Sprintf("ERR internal error: a tablet answered %.64q", reply))
}
