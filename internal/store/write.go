package store

import (
	"encoding/binary"
	"fmt"

	"github.com/quorddb/quord/internal/kv"
)

// Flags of a LogOp in the journal.
const (
	opDestroy = 1 << iota
	opReset
	opTruncate
	opHard
)

// appendWrite appends w as it stands in the journal: see the package comment.
func appendWrite(dst []byte, w *kv.Write) []byte {
	dst = append(dst, recordKind)
	dst = binary.AppendUvarint(dst, uint64(len(w.Log)))
	for i := range w.Log {
		dst = appendLogOp(dst, &w.Log[i])
	}
	dst = binary.AppendUvarint(dst, uint64(len(w.State)))
	for i := range w.State {
		op := &w.State[i]
		dst = append(dst, byte(op.Kind))
		dst = appendBytes(appendBytes(dst, op.Key), op.Value)
	}
	return dst
}

func appendLogOp(dst []byte, op *kv.LogOp) []byte {
	var flags byte
	if op.Destroy {
		flags |= opDestroy
	}
	if op.Reset != nil {
		flags |= opReset
	}
	if op.Truncate != nil {
		flags |= opTruncate
	}
	if op.Hard != nil {
		flags |= opHard
	}
	dst = append(binary.AppendUvarint(dst, uint64(op.Group)), flags)
	for _, p := range []*kv.Position{op.Reset, op.Truncate} {
		if p != nil {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, p.Index), p.Term)
		}
	}
	if h := op.Hard; h != nil {
		dst = binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(dst, h.Term), h.Vote), h.Commit)
	}
	dst = binary.AppendUvarint(dst, uint64(len(op.Append)))
	for i := range op.Append {
		e := &op.Append[i]
		if i == 0 {
			dst = binary.AppendUvarint(dst, e.Index) // the others follow without a gap
		}
		dst = append(binary.AppendUvarint(dst, e.Term), e.Type)
		dst = appendBytes(dst, e.Data)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// decodeWrite reads what appendWrite wrote. Nothing of it lies in b.
func decodeWrite(b []byte) (*kv.Write, error) {
	r := writeReader{b: b}
	if kind := r.byte(); kind != recordKind && !r.failed {
		return nil, fmt.Errorf("%w: a Write of kind %d, this build reads %d", kv.ErrCorrupt, kind, recordKind)
	}
	w := &kv.Write{}
	for range r.count() {
		w.Log = append(w.Log, r.logOp())
	}
	for range r.count() {
		w.State = append(w.State, kv.Op{Kind: kv.OpKind(r.byte()), Key: r.bytes(), Value: r.bytes()})
	}
	if r.failed || len(r.b) > 0 {
		return nil, fmt.Errorf("%w: no Write of %d bytes", kv.ErrCorrupt, len(b))
	}
	if err := check(w); err != nil {
		return nil, fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return w, nil
}

// writeReader reads from b; after the first failure it reads zeros.
type writeReader struct {
	b      []byte
	failed bool
}

func (r *writeReader) fail() { r.b, r.failed = nil, true }

func (r *writeReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *writeReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many of something follow; each takes at least a byte.
func (r *writeReader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return n
}

func (r *writeReader) bytes() []byte {
	n := r.count()
	b := append(make([]byte, 0, n), r.b[:n]...)
	r.b = r.b[n:]
	return b
}

func (r *writeReader) logOp() kv.LogOp {
	group := r.uvarint()
	flags := r.byte()
	if group > 1<<32-1 || flags > opDestroy|opReset|opTruncate|opHard {
		r.fail()
	}
	op := kv.LogOp{Group: uint32(group), Destroy: flags&opDestroy != 0}
	if flags&opReset != 0 {
		op.Reset = &kv.Position{Index: r.uvarint(), Term: r.uvarint()}
	}
	if flags&opTruncate != 0 {
		op.Truncate = &kv.Position{Index: r.uvarint(), Term: r.uvarint()}
	}
	if flags&opHard != 0 {
		op.Hard = &kv.HardState{Term: r.uvarint(), Vote: r.uvarint(), Commit: r.uvarint()}
	}
	n := r.count()
	if n == 0 {
		return op
	}
	first := r.uvarint()
	for i := range n {
		if r.failed {
			return op
		}
		op.Append = append(op.Append, kv.Entry{Index: first + i, Term: r.uvarint(), Type: r.byte(), Data: r.bytes()})
	}
	return op
}
