package command

// group is a chapter of the table: its name and categories hold for all its commands.
type group struct {
	name       string
	categories Categories
	specs      []Spec
}

// table is every command there is.
var table = []group{
	{name: "string", categories: StringCategory, specs: stringCommands},
	{name: "generic", categories: KeyspaceCategory, specs: genericCommands},
	{name: "connection", categories: ConnectionCategory, specs: connectionCommands},
	{name: "server", specs: serverCommands},
	{name: "cluster", specs: clusterCommands},
	{name: "module", specs: ownCommands},
	{name: "internal", specs: internalCommands},
}

// Arguments that many commands share.
var (
	keyArg     = Argument{Name: "key", Type: "key"}
	keysArg    = Argument{Name: "key", Type: "key", Multiple: true}
	valueArg   = Argument{Name: "value", Type: "string"}
	patternArg = Argument{Name: "pattern", Type: "pattern"}
	pairsArg   = Argument{Name: "key_value", Type: "block", Multiple: true, Arguments: []Argument{keyArg, valueArg}}

	secondsArg    = Argument{Name: "seconds", Type: "integer"}
	millisArg     = Argument{Name: "milliseconds", Type: "integer"}
	unixArg       = Argument{Name: "unix-time-seconds", Type: "unix-time"}
	unixMillisArg = Argument{Name: "unix-time-milliseconds", Type: "unix-time"}

	existenceArg  = choice("condition", word("NX"), word("XX"))
	ttlChangeArg  = choice("condition", word("NX"), word("XX"), word("GT"), word("LT"))
	flushArg      = choice("flush-type", word("ASYNC"), word("SYNC"))
	onOffArg      = Argument{Name: "enabled", Type: "oneof", Arguments: []Argument{word("ON"), word("OFF")}}
	nodeArg       = Argument{Name: "node-id", Type: "string"}
	dryRunArg     = optional(word("DRYRUN"))
	commandsArg   = Argument{Name: "command-name", Type: "string", Optional: true, Multiple: true}
	clientIDsArg  = Argument{Name: "client-id", Type: "integer", Multiple: true}
	clientTypeArg = Argument{
		Name: "client-type", Type: "oneof", Token: "TYPE", Optional: true,
		Arguments: []Argument{word("NORMAL"), word("MASTER"), word("REPLICA"), word("PUBSUB")},
	}
)

// lifetime returns the ways to give an expiry, and what else there is to say about it.
func lifetime(other string) Argument {
	return choice("expiration", after("EX", secondsArg), after("PX", millisArg), after("EXAT", unixArg),
		after("PXAT", unixMillisArg), word(other))
}

// word is an argument that is just that word.
func word(token string) Argument {
	return Argument{Name: string(appendLower(nil, token)), Type: "pure-token", Token: token}
}

// after is an argument that follows a word.
func after(token string, a Argument) Argument {
	a.Token = token
	return a
}

func optional(a Argument) Argument {
	a.Optional = true
	return a
}

// choice is an optional group of which at most one may be given.
func choice(name string, of ...Argument) Argument {
	return Argument{Name: name, Type: "oneof", Optional: true, Arguments: of}
}

func appendLower(out []byte, s string) []byte {
	for _, c := range []byte(s) {
		out = append(out, lower(c))
	}
	return out
}
