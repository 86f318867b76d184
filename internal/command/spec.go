package command

import "strings"

// Eval is the meaning of a command: it evaluates args (the name first) over v and appends the reply to out. The
// number of arguments has been checked.
type Eval func(v View, args [][]byte, out []byte) []byte

// Spec is one entry of the command table. Specs are shared and must not be modified.
type Spec struct {
	// Name is the command in lower case; of a subcommand it is its own word only (see FullName).
	Name string
	// Summary, Since (the version of Redis, or of Quord for its own commands), Group and Complexity document
	// the command, Arguments its syntax. ReplacedBy is set where the command is deprecated.
	Summary, Since, Group, Complexity string
	Arguments                         []Argument
	ReplacedBy, DeprecatedSince       string
	// Arity is the number of arguments with the name, at least that many where it is negative.
	Arity int
	Flags Flags
	// First, Last and Step say which arguments are keys: First, First+Step, ... up to Last, which counts from
	// the end where it is negative. First is 0 where there are none.
	First, Last, Step int
	// KeyFlags says, in the words of COMMAND INFO, what the command does with its keys.
	KeyFlags string
	// Categories are the ACL categories that do not follow from Flags (see ACL).
	Categories Categories
	// Tips are hints for clients of a cluster.
	Tips []string
	// Where says who carries the command out. Eval is set exactly where this is Tablet.
	Where Where
	// Split says how a command whose keys lie in several tablets is cut up and its replies are put together.
	Split       Split
	Eval        Eval
	Subcommands []*Spec

	container *Spec
}

// FullName returns the name as error messages and COMMAND use it: "get", "client|list".
func (s *Spec) FullName() string {
	if s.container == nil {
		return s.Name
	}
	return s.container.Name + "|" + s.Name
}

// IsWrite reports whether the command has to go through the log of its tablet.
func (s *Spec) IsWrite() bool { return s.Flags&Write != 0 }

// CheckArity reports whether a command of n arguments, name included, has neither too few nor too many. It covers
// keys and values that come in pairs, so a command that passed can be split.
func (s *Spec) CheckArity(n int) bool {
	if s.Arity >= 0 {
		return n == s.Arity
	}
	return n >= -s.Arity && (s.Step < 2 || s.Last >= 0 || (n-s.First)%s.Step == 0)
}

// KeyRange returns which of n arguments are keys: first, first+step, ... up to and including last. Where there are
// none, first is greater than last, and step is at least 1 always.
func (s *Spec) KeyRange(n int) (first, last, step int) {
	if s.First == 0 {
		return 1, 0, 1
	}
	last = s.Last
	if last < 0 {
		last += n
	}
	return s.First, min(last, n-1), s.Step
}

// Keys returns the keys among args. KeyRange does the same without allocating.
func (s *Spec) Keys(args [][]byte) [][]byte {
	var keys [][]byte
	for first, last, step := s.KeyRange(len(args)); first <= last; first += step {
		keys = append(keys, args[first])
	}
	return keys
}

// Subcommand returns the subcommand of this name in any case, or nil.
func (s *Spec) Subcommand(name []byte) *Spec {
	for _, sub := range s.Subcommands {
		if equalFold(name, sub.Name) {
			return sub
		}
	}
	return nil
}

// Where says who carries a command out.
type Where uint8

// The places where commands are carried out.
const (
	// Session: the front end, from what it knows of the connection and the node.
	Session Where = iota
	// Tablet: the tablet that holds the keys, by Eval.
	Tablet
	// Cluster: the front end, by asking nodes or all tablets.
	Cluster
)

// Split says what to do with a command whose keys lie in several tablets. Each part is atomic, the whole is not.
type Split uint8

// The ways to split a command.
const (
	// None: all keys must lie in one slot, else the command is refused with CROSSSLOT.
	None Split = iota
	// Sum: the replies of the parts are integers that are added up.
	Sum
	// Gather: the replies of the parts are arrays with one element per key, put together in the keys' order.
	Gather
	// All: the parts answer OK or an error; the first error wins.
	All
)

// Flags say what kind of command it is.
type Flags uint32

// The flags; all but Internal are those of COMMAND INFO.
const (
	// Write: may change data, goes through the log.
	Write Flags = 1 << iota
	// ReadOnly: reads data and never changes it.
	ReadOnly
	// DenyOOM: may need more memory; refused when there is none.
	DenyOOM
	// Admin: for operators.
	Admin
	// NoScript: not from scripts.
	NoScript
	// Loading: served while the node starts.
	Loading
	// Stale: served while the node is cut off.
	Stale
	// Fast: takes constant or logarithmic time.
	Fast
	// NoAuth: allowed before authentication.
	NoAuth
	// AllowBusy: allowed while a script runs for too long.
	AllowBusy
	// Internal: sent by the front end to tablets; clients cannot name it.
	Internal
)

// flagNames are the names in COMMAND INFO, in the order of the bits. Internal commands are never shown.
var flagNames = [...]string{
	"write", "readonly", "denyoom", "admin", "noscript", "loading", "stale", "fast", "no_auth", "allow_busy",
}

// Names returns the flags as COMMAND INFO shows them.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String returns the names, separated by commas.
func (f Flags) String() string { return strings.Join(f.Names(), ",") }

// Categories is a set of ACL categories.
type Categories uint32

// The ACL categories. ReadCategory to SlowCategory follow from the flags of a command.
const (
	KeyspaceCategory Categories = 1 << iota
	ReadCategory
	WriteCategory
	StringCategory
	FastCategory
	SlowCategory
	AdminCategory
	DangerousCategory
	ConnectionCategory
)

var categoryNames = [...]string{
	"keyspace", "read", "write", "string", "fast", "slow", "admin", "dangerous", "connection",
}

// Names returns the categories as ACL CAT shows them, without the '@'.
func (c Categories) Names() []string {
	var names []string
	for i, name := range categoryNames {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// CategoryOf returns the category of this name in any case, or 0.
func CategoryOf(name []byte) Categories {
	for i, n := range categoryNames {
		if equalFold(name, n) {
			return 1 << i
		}
	}
	return 0
}

// ACL returns all categories of the command: its own and those that its flags imply.
func (s *Spec) ACL() Categories {
	c := s.Categories
	if s.Flags&Write != 0 {
		c |= WriteCategory
	}
	if s.Flags&ReadOnly != 0 {
		c |= ReadCategory
	}
	if s.Flags&Admin != 0 {
		c |= AdminCategory | DangerousCategory
	}
	if s.Flags&Fast != 0 {
		c |= FastCategory
	} else {
		c |= SlowCategory
	}
	return c
}

// Argument documents one argument, or a group of them, in the words of COMMAND DOCS.
type Argument struct {
	Name string
	// Type is key, string, integer, double, pattern, unix-time, pure-token, oneof or block.
	Type string
	// Token is the word that comes before the argument, or that is the argument (pure-token).
	Token              string
	Optional, Multiple bool
	// Arguments are the alternatives of a oneof or the members of a block.
	Arguments []Argument
}
