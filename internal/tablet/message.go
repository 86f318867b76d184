package tablet

import (
	"encoding/binary"
	"errors"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A Raft message on the wire, all numbers uvarint unless said:
//
//	type (1 byte)  flags (1 byte; bit 0: reject, bit 1: sent follows, bit 2: rest)
//	from  to  term  log term  index  commit  reject hint
//	context (length, bytes)
//	number of entries; for each: type (1 byte), term, data (length, bytes)
//	sent: nanoseconds on the leader's monotonic clock, when the request left, or the one that is answered (see lease);
//	only with bit 1
//
// A heartbeat with the flag rest is the last one for a while; an answer to a heartbeat with it asks for a heartbeat (see
// rest). The indices of the entries follow the message's own: index+1, index+2, ...
// The kinds are those of Raft's remote procedure calls only: requests and answers for append, heartbeat, vote
// and pre-vote, and TimeoutNow. Proposals, snapshots and what the library sends to itself never travel.

var errMessage = errors.New("tablet: damaged raft message")

// message carries a library message together with what its pointers point to: one allocation instead of nine.
type message struct {
	pb.Message
	kind                                            pb.MessageType
	to, from, term, logTerm, index, commit, rejHint uint64
	reject                                          bool
	beside                                          beside
}

// beside is what travels with a message and is not the library's.
type beside struct {
	sent time.Duration // see lease; 0 for none
	rest bool          // see rest
}

const (
	flagReject = 1 << iota
	flagSent
	flagRest
)

func newMessage() *message {
	m := &message{}
	m.Message.Type, m.Message.To, m.Message.From, m.Message.Term = &m.kind, &m.to, &m.from, &m.term
	m.Message.LogTerm, m.Message.Index, m.Message.Commit = &m.logTerm, &m.index, &m.commit
	m.Message.Reject, m.Message.RejectHint = &m.reject, &m.rejHint
	return m
}

// travels reports whether messages of this kind go between nodes.
func travels(t pb.MessageType) bool {
	switch t {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgVote, pb.MsgVoteResp,
		pb.MsgPreVote, pb.MsgPreVoteResp, pb.MsgTimeoutNow:
		return true
	}
	return false
}

// waits reports whether a message promises something that must be on disk before it is sent.
func waits(t pb.MessageType) bool {
	return t == pb.MsgAppResp || t == pb.MsgVoteResp || t == pb.MsgPreVoteResp
}

func appendMessage(dst []byte, m *pb.Message, b beside) []byte {
	flags := b2u(m.GetReject()) * flagReject
	if b.sent > 0 {
		flags |= flagSent
	}
	if b.rest {
		flags |= flagRest
	}
	dst = append(dst, byte(m.GetType()), flags)
	for _, v := range [...]uint64{
		m.GetFrom(), m.GetTo(), m.GetTerm(), m.GetLogTerm(), m.GetIndex(), m.GetCommit(), m.GetRejectHint(),
	} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendBlob(dst, m.GetContext())
	dst = binary.AppendUvarint(dst, uint64(len(m.GetEntries())))
	for _, e := range m.GetEntries() {
		dst = append(dst, byte(e.GetType()))
		dst = binary.AppendUvarint(dst, e.GetTerm())
		dst = appendBlob(dst, e.GetData())
	}
	if b.sent > 0 {
		dst = binary.AppendUvarint(dst, uint64(b.sent))
	}
	return dst
}

// decodeMessage reads what appendMessage wrote. The entries' data is copied, so that a log entry does not keep
// the whole frame alive in which it came.
func decodeMessage(b []byte) (*message, error) {
	r := reader{b: b}
	m := newMessage()
	m.kind = pb.MessageType(r.byte())
	flags := r.byte()
	m.reject, m.beside.rest = flags&flagReject != 0, flags&flagRest != 0
	m.from, m.to, m.term, m.logTerm = r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	m.index, m.commit, m.rejHint = r.uvarint(), r.uvarint(), r.uvarint()
	if c := r.blob(); len(c) > 0 {
		m.Message.Context = append([]byte(nil), c...)
	}
	n := r.count()
	if r.failed || flags >= flagRest<<1 || !travels(m.kind) || n > 0 && m.kind != pb.MsgApp {
		return nil, errMessage
	}
	if n > 0 {
		m.Message.Entries = make([]*pb.Entry, 0, n)
	}
	for i := range n {
		t := pb.EntryType(r.byte())
		term := r.uvarint()
		data := r.blob()
		if r.failed || t != pb.EntryNormal && t != pb.EntryConfChangeV2 {
			return nil, errMessage
		}
		if len(data) > 0 {
			data = append([]byte(nil), data...)
		} else {
			data = nil
		}
		m.Message.Entries = append(m.Message.Entries, newEntry(m.index+1+uint64(i), term, t, data))
	}
	if flags&flagSent != 0 {
		if m.beside.sent = time.Duration(r.uvarint()); m.beside.sent <= 0 {
			return nil, errMessage
		}
	}
	if r.failed || len(r.b) != 0 {
		return nil, errMessage
	}
	return m, nil
}

// Grows reports whether an encoded raft message brings entries for the log.
func Grows(b []byte) bool {
	r := reader{b: b}
	kind := pb.MessageType(r.byte())
	r.byte()
	for range 7 {
		r.uvarint()
	}
	r.blob()
	return kind == pb.MsgApp && r.uvarint() > 0
}

// Destination returns the replica that an encoded raft message is for, and the one that it is from.
func Destination(b []byte) (to, from uint64, err error) {
	r := reader{b: b}
	r.bytes(2)
	from, to = r.uvarint(), r.uvarint()
	if r.failed {
		return 0, 0, errMessage
	}
	return to, from, nil
}
