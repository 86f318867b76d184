package command

import (
	"strconv"
	"strings"
)

// maxNames is the most commands that one COMMAND INFO or COMMAND DOCS describes: many times as many as there are. What is
// told about one takes some hundred times the room of its name.
const maxNames = 1024

// AppendCommand answers COMMAND and its subcommands, whose number of arguments Check has checked.
func AppendCommand(out []byte, args [][]byte) []byte {
	if len(args) == 1 {
		out = appendHeader(out, '*', len(public))
		for _, s := range public {
			out = AppendInfo(out, s)
		}
		return out
	}
	switch {
	case equalFold(args[1], "count"):
		return appendInt(out, int64(len(public)))
	case len(args)-2 > maxNames && (equalFold(args[1], "docs") || equalFold(args[1], "info")):
		return appendError(out, "ERR at most "+strconv.Itoa(maxNames)+" commands are described at a time")
	case equalFold(args[1], "docs"):
		return appendCommandDocs(out, args[2:])
	case equalFold(args[1], "info"):
		return appendCommandInfo(out, args[2:])
	case equalFold(args[1], "list"):
		return appendCommandList(out, args[2:])
	case equalFold(args[1], "getkeys"):
		return appendCommandGetKeys(out, args[2:])
	case equalFold(args[1], "help"):
		return AppendHelp(out, Lookup(args[0]))
	}
	return appendUnknownSubcommand(out, Lookup(args[0]), args[1])
}

// named returns the command or subcommand of a full name ("get", "client|list"), or nil.
func named(full []byte) *Spec {
	name, sub, hasSub := strings.Cut(string(full), "|")
	s := Lookup([]byte(name))
	if s != nil && hasSub {
		s = s.Subcommand([]byte(sub))
	}
	return s
}

func appendCommandInfo(out []byte, names [][]byte) []byte {
	if len(names) == 0 {
		return AppendCommand(out, [][]byte{[]byte("command")})
	}
	out = appendHeader(out, '*', len(names))
	for _, name := range names {
		if s := named(name); s != nil {
			out = AppendInfo(out, s)
		} else {
			out = appendNull(out)
		}
	}
	return out
}

func appendCommandDocs(out []byte, names [][]byte) []byte {
	specs := public
	if len(names) > 0 {
		specs = make([]*Spec, 0, min(len(names), len(public)))
		for _, name := range names {
			if s := named(name); s != nil {
				specs = append(specs, s)
			}
		}
	}
	out = appendHeader(out, '%', len(specs))
	for _, s := range specs {
		out = appendBulk(out, s.FullName())
		out = AppendDocs(out, s)
	}
	return out
}

// appendCommandList answers COMMAND LIST. Without a filter subcommands are left out, with one they count, as in
// Redis.
func appendCommandList(out []byte, filter [][]byte) []byte {
	accept := func(*Spec) bool { return true }
	if len(filter) > 0 {
		if len(filter) != 3 || !equalFold(filter[0], "filterby") {
			return appendError(out, errSyntax)
		}
		switch what := filter[2]; {
		case equalFold(filter[1], "module"):
			accept = func(s *Spec) bool { return equalFold(what, "quord") && s.Group == "module" }
		case equalFold(filter[1], "aclcat"):
			c := CategoryOf(what)
			accept = func(s *Spec) bool { return s.ACL()&c != 0 }
		case equalFold(filter[1], "pattern"):
			accept = func(s *Spec) bool { return MatchFold(what, []byte(s.FullName())) }
		default:
			return appendError(out, errSyntax)
		}
	}
	var names []string
	for _, s := range public {
		if accept(s) {
			names = append(names, s.Name)
		}
		for _, sub := range s.Subcommands {
			if len(filter) > 0 && accept(sub) {
				names = append(names, sub.FullName())
			}
		}
	}
	out = appendHeader(out, '*', len(names))
	for _, name := range names {
		out = appendBulk(out, name)
	}
	return out
}

func appendCommandGetKeys(out []byte, args [][]byte) []byte {
	s := Lookup(args[0])
	switch {
	case s == nil:
		return appendError(out, "ERR Invalid command specified")
	case s.First == 0:
		return appendError(out, "ERR The command has no key arguments")
	case !s.CheckArity(len(args)):
		return appendError(out, "ERR Invalid number of arguments specified for command")
	}
	keys := s.Keys(args)
	out = appendHeader(out, '*', len(keys))
	for _, key := range keys {
		out = appendBulk(out, key)
	}
	return out
}

// AppendInfo appends the ten elements by which COMMAND INFO describes a command: name, arity, flags, first key,
// last key, step, ACL categories, tips, key specifications, subcommands.
func AppendInfo(out []byte, s *Spec) []byte {
	out = appendHeader(out, '*', 10)
	out = appendBulk(out, s.FullName())
	out = appendInt(out, int64(s.Arity))
	out = appendSimpleSet(out, s.Flags.Names(), "")
	out = appendInt(out, int64(s.First))
	out = appendInt(out, int64(s.Last))
	out = appendInt(out, int64(s.Step))
	out = appendSimpleSet(out, s.ACL().Names(), "@")
	out = appendHeader(out, '~', len(s.Tips))
	for _, tip := range s.Tips {
		out = appendBulk(out, tip)
	}
	out = appendKeySpecs(out, s)
	out = appendHeader(out, '~', len(s.Subcommands))
	for _, sub := range s.Subcommands {
		out = AppendInfo(out, sub)
	}
	return out
}

// appendKeySpecs appends the one rule by which the keys of a command are found. Its lastkey counts from the first
// key, not from the name.
func appendKeySpecs(out []byte, s *Spec) []byte {
	if s.First == 0 {
		return appendHeader(out, '~', 0)
	}
	last := s.Last
	if last > 0 {
		last -= s.First
	}
	out = appendHeader(out, '~', 1)
	out = appendHeader(out, '%', 3)
	out = appendBulk(out, "flags")
	out = appendSimpleSet(out, strings.Fields(s.KeyFlags), "")
	out = appendBulk(out, "begin_search")
	out = appendHeader(out, '%', 2)
	out = appendField(out, "type", "index")
	out = appendBulk(out, "spec")
	out = appendHeader(out, '%', 1)
	out = appendIntField(out, "index", s.First)
	out = appendBulk(out, "find_keys")
	out = appendHeader(out, '%', 2)
	out = appendField(out, "type", "range")
	out = appendBulk(out, "spec")
	out = appendHeader(out, '%', 3)
	out = appendIntField(out, "lastkey", last)
	out = appendIntField(out, "keystep", s.Step)
	return appendIntField(out, "limit", 0)
}

// AppendDocs appends the map by which COMMAND DOCS documents a command.
func AppendDocs(out []byte, s *Spec) []byte {
	n := 4
	deprecated := s.ReplacedBy != ""
	if deprecated {
		n += 3
	}
	if len(s.Arguments) > 0 {
		n++
	}
	if len(s.Subcommands) > 0 {
		n++
	}
	out = appendHeader(out, '%', n)
	out = appendField(out, "summary", s.Summary)
	out = appendField(out, "since", s.Since)
	out = appendField(out, "group", s.Group)
	out = appendField(out, "complexity", s.Complexity)
	if deprecated {
		out = appendBulk(out, "doc_flags")
		out = appendSimpleSet(out, []string{"deprecated"}, "")
		out = appendField(out, "deprecated_since", s.DeprecatedSince)
		out = appendField(out, "replaced_by", s.ReplacedBy)
	}
	if len(s.Arguments) > 0 {
		out = appendBulk(out, "arguments")
		out = appendArguments(out, s.Arguments)
	}
	if len(s.Subcommands) > 0 {
		out = appendBulk(out, "subcommands")
		out = appendHeader(out, '%', len(s.Subcommands))
		for _, sub := range s.Subcommands {
			out = appendBulk(out, sub.FullName())
			out = AppendDocs(out, sub)
		}
	}
	return out
}

func appendArguments(out []byte, list []Argument) []byte {
	out = appendHeader(out, '*', len(list))
	for i := range list {
		out = appendArgument(out, &list[i])
	}
	return out
}

func appendArgument(out []byte, a *Argument) []byte {
	// Only leaves have something that a client shows in place of the argument.
	leaf := len(a.Arguments) == 0 && a.Type != "pure-token"
	n := 2
	for _, present := range []bool{
		leaf, a.Type == "key", a.Token != "", a.Optional || a.Multiple, len(a.Arguments) > 0,
	} {
		if present {
			n++
		}
	}
	out = appendHeader(out, '%', n)
	out = appendField(out, "name", a.Name)
	out = appendField(out, "type", a.Type)
	if leaf {
		out = appendField(out, "display_text", a.Name)
	}
	if a.Type == "key" {
		out = appendIntField(out, "key_spec_index", 0)
	}
	if a.Token != "" {
		out = appendField(out, "token", a.Token)
	}
	var flags []string
	if a.Optional {
		flags = append(flags, "optional")
	}
	if a.Multiple {
		flags = append(flags, "multiple")
	}
	if flags != nil {
		out = appendBulk(out, "flags")
		out = appendSimpleSet(out, flags, "")
	}
	if len(a.Arguments) > 0 {
		out = appendBulk(out, "arguments")
		out = appendArguments(out, a.Arguments)
	}
	return out
}

// AppendHelp answers the subcommand HELP of a command: its subcommands with their arguments and summaries.
func AppendHelp(out []byte, s *Spec) []byte {
	out = appendHeader(out, '*', 1+2*len(s.Subcommands))
	out = append(out, '+')
	out = appendUpper(out, s.Name)
	out = append(out, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"...)
	for _, sub := range s.Subcommands {
		out = append(out, '+')
		out = appendUpper(out, sub.Name)
		for i := range sub.Arguments {
			out = append(out, ' ')
			out = appendUsage(out, &sub.Arguments[i])
		}
		out = append(out, "\r\n+    "...)
		out = append(out, sub.Summary...)
		out = append(out, "\r\n"...)
	}
	return out
}

// appendUsage appends an argument as people write it: TOKEN <name>, <a|b>, [optional], several ...
func appendUsage(out []byte, a *Argument) []byte {
	if a.Optional {
		out = append(out, '[')
	}
	out = append(out, a.Token...)
	if a.Token != "" && a.Type != "pure-token" {
		out = append(out, ' ')
	}
	switch {
	case a.Type == "pure-token":
	case len(a.Arguments) == 0:
		out = append(append(append(out, '<'), a.Name...), '>')
	default:
		separator := byte(' ')
		if a.Type == "oneof" {
			separator = '|'
		}
		for i := range a.Arguments {
			if i > 0 {
				out = append(out, separator)
			}
			out = appendUsage(out, &a.Arguments[i])
		}
	}
	if a.Multiple {
		out = append(out, " ..."...)
	}
	if a.Optional {
		out = append(out, ']')
	}
	return out
}

// appendSimpleSet appends a set of words, each with a prefix.
func appendSimpleSet(out []byte, words []string, prefix string) []byte {
	out = appendHeader(out, '~', len(words))
	for _, w := range words {
		out = append(out, '+')
		out = append(out, prefix...)
		out = append(out, w...)
		out = append(out, "\r\n"...)
	}
	return out
}

func appendField(out []byte, name, value string) []byte {
	return appendBulk(appendBulk(out, name), value)
}

func appendIntField(out []byte, name string, value int) []byte {
	return appendInt(appendBulk(out, name), int64(value))
}
