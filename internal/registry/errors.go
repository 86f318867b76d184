package registry

import "fmt"

// Kind says why a command was refused, for programs. It is an error itself, so that errors.Is(err, ErrStale) tells
// one refusal from another. Numbers are part of the format and only ever added.
type Kind uint8

// The kinds of refusals.
const (
	// ErrInvalid: a value of the command is impossible, whatever the registry holds.
	ErrInvalid Kind = 1
	// ErrNotInitialised: there is no cluster yet.
	ErrNotInitialised Kind = 2
	// ErrInitialised: there is a cluster already; it is made once, ever.
	ErrInitialised Kind = 3
	// ErrUnknown: the node is not a member.
	ErrUnknown Kind = 4
	// ErrRemoved: the node was removed, and its identity with it.
	ErrRemoved Kind = 5
	// ErrOtherKey: the key is not that of the node, or another one is recorded for it.
	ErrOtherKey Kind = 6
	// ErrTokenTaken: another member stands at the same place on the ring.
	ErrTokenTaken Kind = 7
	// ErrOldBoot: the node has been started again since; a process of before, or a copy of its directory, is asking.
	ErrOldBoot Kind = 8
	// ErrTransition: a member in this state cannot go to that one.
	ErrTransition Kind = 9
	// ErrTooMany: a bound of the registry is reached.
	ErrTooMany Kind = 10
	// ErrFormat: the node does not know the format in use, or a member does not know the one that is to be used.
	ErrFormat Kind = 11
	// ErrFixed: the setting cannot be changed.
	ErrFixed Kind = 12
	// ErrStale: tokens were chosen for another ring than the present one; choose again.
	ErrStale Kind = 13
	// ErrLast: the last member cannot leave the cluster.
	ErrLast Kind = 14
	// ErrAmbiguous: the prefix begins the identifiers of several members.
	ErrAmbiguous Kind = 15
)

var kindNames = [...]string{
	ErrInvalid: "impossible value", ErrNotInitialised: "no cluster yet", ErrInitialised: "cluster exists already",
	ErrUnknown: "not a member", ErrRemoved: "removed from the cluster", ErrOtherKey: "another key", ErrTokenTaken: "token taken",
	ErrOldBoot: "started again since", ErrTransition: "impossible change of state", ErrTooMany: "too many", ErrFormat: "format unknown",
	ErrFixed: "setting is fixed", ErrStale: "ring has changed", ErrLast: "last member", ErrAmbiguous: "ambiguous",
}

// Error returns the kind in words.
func (k Kind) Error() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("refusal %d", uint8(k))
}

// Error is a refusal: a Kind for programs, and a text that says what was wrong and what is allowed.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

func refuse(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(format, args...)}
}
