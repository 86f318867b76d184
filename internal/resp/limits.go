package resp

import "fmt"

// Limits says how much of one command a Reader takes. Zero means the default.
type Limits struct {
	// MaxArgs is the most arguments of one command; default 1,048,576.
	MaxArgs int
	// MaxBulk is the length in bytes of the longest argument that is kept; default 512 MiB.
	MaxBulk int
	// MaxCommand is the most bytes of arguments of one command that are kept; default and least MaxBulk.
	MaxCommand int
	// MaxSkip is the length of the longest argument that is read past when it is over MaxBulk; a longer one is a
	// protocol error. Default and least MaxBulk.
	MaxSkip int
	// MaxInline is the length of the longest line: an inline command, or a header; default 64 KiB.
	MaxInline int
	// Unauthenticated makes MaxArgs and MaxBulk errors name the missing authentication, as Redis does.
	Unauthenticated bool
}

// BeforeAuth are the limits of Redis for a client that has not shown its password yet.
func BeforeAuth() Limits {
	return Limits{MaxArgs: 10, MaxBulk: 16384, MaxCommand: 10 * 16384, MaxInline: 64 << 10, Unauthenticated: true}
}

func (l Limits) withDefaults() Limits {
	if l.MaxArgs <= 0 {
		l.MaxArgs = 1 << 20
	}
	if l.MaxBulk <= 0 {
		l.MaxBulk = 512 << 20
	}
	if l.MaxInline <= 0 {
		l.MaxInline = 64 << 10
	}
	l.MaxCommand = max(l.MaxCommand, l.MaxBulk)
	l.MaxSkip = max(l.MaxSkip, l.MaxBulk)
	return l
}

// ProtocolError is returned when a stream cannot be read any further. The text, with "ERR " before it, is what Redis
// answers before it closes the connection.
type ProtocolError string

func (e ProtocolError) Error() string { return "Protocol error: " + string(e) }

func errExpectedBulk(got byte) ProtocolError {
	return ProtocolError(fmt.Sprintf("expected '$', got '%c'", got))
}

const (
	errMultibulk       ProtocolError = "invalid multibulk length"
	errMultibulkNoAuth ProtocolError = "unauthenticated multibulk length"
	errMultibulkLine   ProtocolError = "too big mbulk count string"
	errBulk            ProtocolError = "invalid bulk length"
	errBulkNoAuth      ProtocolError = "unauthenticated bulk length"
	errBulkLine        ProtocolError = "too big bulk count string"
	errBulkEnd         ProtocolError = "expected CRLF after a bulk string"
	errInline          ProtocolError = "too big inline request"
	errQuotes          ProtocolError = "unbalanced quotes in request"
)
