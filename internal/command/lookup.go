package command

import "slices"

// longestName bounds the names that Lookup compares; index keeps every name within it.
const longestName = 32

var (
	// commands holds every command by its name, internal ones included.
	commands = index(table)
	// public holds the commands that clients can name, ordered by name.
	public = listPublic(table)
)

func index(groups []group) map[string]*Spec {
	m := make(map[string]*Spec)
	for _, g := range groups {
		for i := range g.specs {
			s := &g.specs[i]
			if s.Group = g.name; len(s.Name) > longestName || m[s.Name] != nil {
				panic("command: the name " + s.Name + " is too long or appears twice")
			}
			if s.Eval != nil {
				s.Where = Tablet
			}
			if s.Subcommands == nil { // those of a container are its subcommands' business
				s.Categories |= g.categories
			}
			m[s.Name] = s
			for _, sub := range s.Subcommands {
				sub.Group, sub.container = g.name, s
			}
		}
	}
	return m
}

func listPublic(groups []group) []*Spec {
	var list []*Spec
	for _, g := range groups {
		for i := range g.specs {
			if g.specs[i].Flags&Internal == 0 {
				list = append(list, &g.specs[i])
			}
		}
	}
	slices.SortFunc(list, func(a, b *Spec) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

// Lookup returns the command of this name in any case, or nil where there is none that a client can name. It does
// not look at subcommands and does not allocate.
func Lookup(name []byte) *Spec {
	s := Find(name)
	if s == nil || s.Flags&Internal != 0 {
		return nil
	}
	return s
}

// Find is Lookup with the internal commands: what a tablet may be asked for. Names that come from a client go through
// Lookup or Check.
func Find(name []byte) *Spec {
	var buf [longestName]byte
	if len(name) > len(buf) {
		return nil
	}
	for i, c := range name {
		buf[i] = lower(c)
	}
	return commands[string(buf[:len(name)])]
}

// List returns the commands that clients can name, ordered by name. The slice must not be modified.
func List() []*Spec { return public }

// Check finds the command or subcommand that a client means by args, name first, of which there is at least one,
// and checks the number of arguments. Where the command cannot be carried out, it returns nil and appends the
// error to out.
func Check(args [][]byte, out []byte) (*Spec, []byte) {
	s := Lookup(args[0])
	if s == nil {
		return nil, appendUnknown(out, args)
	}
	if len(s.Subcommands) > 0 && len(args) > 1 {
		sub := s.Subcommand(args[1])
		if sub == nil {
			return nil, appendUnknownSubcommand(out, s, args[1])
		}
		s = sub
	}
	if !s.CheckArity(len(args)) {
		return nil, AppendWrongArity(out, s)
	}
	return s, out
}

// Evaluate carries a command of the place Tablet out, internal or not: it appends the reply to out. What is not
// such a command, or has the wrong number of arguments, is answered with an error and changes nothing.
func Evaluate(v View, args [][]byte, out []byte) []byte {
	if len(args) == 0 {
		return appendError(out, "ERR empty command")
	}
	s := Find(args[0])
	if s == nil || s.Eval == nil {
		return appendUnknown(out, args)
	}
	if !s.CheckArity(len(args)) {
		return AppendWrongArity(out, s)
	}
	return s.Eval(v, args, out)
}

// Bounds of what an error repeats of the words of a client.
const (
	shownName = 128
	shownArgs = 128
)

func appendUnknown(out []byte, args [][]byte) []byte {
	text := append([]byte("ERR unknown command '"), cut(args[0], shownName)...)
	text = append(text, "', with args beginning with: "...)
	start := len(text)
	for _, a := range args[1:] {
		shown := len(text) - start
		if shown >= shownArgs {
			break
		}
		text = append(text, '\'')
		text = append(text, cut(a, shownArgs-shown)...)
		text = append(text, "' "...)
	}
	return appendErrorText(out, text)
}

func appendUnknownSubcommand(out []byte, s *Spec, name []byte) []byte {
	text := append([]byte("ERR unknown subcommand '"), cut(name, shownName)...)
	text = append(text, "'. Try "...)
	text = appendUpper(text, s.Name)
	return appendErrorText(out, append(text, " HELP."...))
}

// AppendWrongArity appends the error for a wrong number of arguments.
func AppendWrongArity(out []byte, s *Spec) []byte {
	return appendError(out, "ERR wrong number of arguments for '"+s.FullName()+"' command")
}

func cut(b []byte, n int) []byte { return b[:min(len(b), n)] }

func appendUpper(out []byte, s string) []byte {
	for _, c := range []byte(s) {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		out = append(out, c)
	}
	return out
}
