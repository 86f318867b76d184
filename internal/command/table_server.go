package command

// Flags of commands about a connection rather than about data.
const (
	always    = Loading | Stale
	handshake = NoScript | Loading | Stale | Fast | NoAuth | AllowBusy
	onClient  = NoScript | Loading | Stale
	operator  = Admin | NoScript | Loading | Stale
)

const perCommand = "O(N) where N is the number of commands asked for."

// helpFor documents the subcommand HELP of a command.
func helpFor(since string) *Spec {
	return &Spec{
		Name: "help", Summary: "Lists the subcommands.", Since: since, Complexity: constant,
		Arity: 2, Flags: always,
	}
}

var connectionCommands = []Spec{
	{
		Name: "ping", Summary: "Answers PONG, or the message.", Since: "1.0.0", Complexity: constant,
		Arity: -1, Flags: Fast, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Arguments: []Argument{{Name: "message", Type: "string", Optional: true}},
	},
	{
		Name: "echo", Summary: "Answers the message.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: always | Fast, Arguments: []Argument{{Name: "message", Type: "string"}},
	},
	{
		Name: "hello", Summary: "Agrees on the version of the protocol.", Since: "6.0.0", Complexity: constant,
		Arity: -1, Flags: handshake,
		Arguments: []Argument{{
			Name: "arguments", Type: "block", Optional: true, Arguments: []Argument{
				{Name: "protover", Type: "integer"},
				{Name: "auth", Type: "block", Token: "AUTH", Optional: true, Arguments: []Argument{
					{Name: "username", Type: "string"}, {Name: "password", Type: "string"},
				}},
				{Name: "clientname", Type: "string", Token: "SETNAME", Optional: true},
			},
		}},
	},
	{
		Name: "auth", Summary: "Authenticates the connection.", Since: "1.0.0", Complexity: constant,
		Arity: -2, Flags: handshake,
		Arguments: []Argument{
			{Name: "username", Type: "string", Optional: true}, {Name: "password", Type: "string"},
		},
	},
	{
		Name: "select", Summary: "Selects the database; there is one, 0.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: always | Fast, Arguments: []Argument{{Name: "index", Type: "integer"}},
	},
	{
		Name: "quit", Summary: "Closes the connection.", Since: "1.0.0", Complexity: constant,
		ReplacedBy: "just closing the connection", DeprecatedSince: "7.2.0",
		Arity: -1, Flags: handshake,
	},
	{
		Name: "reset", Summary: "Puts the connection back into its first state.", Since: "6.2.0", Complexity: constant,
		Arity: 1, Flags: handshake,
	},
	{
		Name: "client", Summary: "Commands about connections of clients.", Since: "2.4.0",
		Complexity: "Depends on the subcommand.", Arity: -2,
		Subcommands: clientSubcommands,
	},
}

var clientSubcommands = []*Spec{
	{
		Name: "id", Summary: "Returns the number of this connection.", Since: "5.0.0", Complexity: constant,
		Arity: 2, Flags: onClient, Categories: ConnectionCategory,
	},
	{
		Name: "setname", Summary: "Names this connection.", Since: "2.6.9", Complexity: constant,
		Arity: 3, Flags: onClient, Categories: ConnectionCategory,
		Arguments: []Argument{{Name: "connection-name", Type: "string"}},
	},
	{
		Name: "getname", Summary: "Returns the name of this connection.", Since: "2.6.9", Complexity: constant,
		Arity: 2, Flags: onClient, Categories: ConnectionCategory,
	},
	{
		Name: "setinfo", Summary: "Tells name and version of the client library.", Since: "7.2.0", Complexity: constant,
		Arity: 4, Flags: onClient, Categories: ConnectionCategory,
		Arguments: []Argument{{Name: "attr", Type: "oneof", Arguments: []Argument{
			after("LIB-NAME", Argument{Name: "libname", Type: "string"}),
			after("LIB-VER", Argument{Name: "libver", Type: "string"}),
		}}},
	},
	{
		Name: "info", Summary: "Describes this connection.", Since: "6.2.0", Complexity: constant,
		Arity: 2, Flags: onClient, Categories: ConnectionCategory, Tips: tipUnordered,
	},
	{
		Name: "list", Summary: "Describes the connections of this node.", Since: "2.4.0",
		Complexity: "O(N) where N is the number of connections.",
		Arity:      -2, Flags: operator, Categories: ConnectionCategory, Tips: tipUnordered,
		Arguments: []Argument{clientTypeArg, optional(after("ID", clientIDsArg))},
	},
	{
		Name: "kill", Summary: "Closes connections of this node.", Since: "2.4.0",
		Complexity: "O(N) where N is the number of connections.",
		Arity:      -3, Flags: operator, Categories: ConnectionCategory,
		Arguments: []Argument{{Name: "filter", Type: "oneof", Arguments: []Argument{
			{Name: "old-format", Type: "string"},
			{Name: "new-format", Type: "oneof", Multiple: true, Arguments: []Argument{
				optional(after("ID", Argument{Name: "client-id", Type: "integer"})),
				clientTypeArg,
				optional(after("USER", Argument{Name: "username", Type: "string"})),
				optional(after("ADDR", Argument{Name: "addr", Type: "string"})),
				optional(after("LADDR", Argument{Name: "laddr", Type: "string"})),
				optional(after("SKIPME", Argument{Name: "skipme", Type: "string"})),
			}},
		}}},
	},
	{
		Name: "reply", Summary: "Switches the replies of this connection on or off.", Since: "3.2.0", Complexity: constant,
		Arity: 3, Flags: onClient, Categories: ConnectionCategory,
		Arguments: []Argument{{
			Name: "action", Type: "oneof", Arguments: []Argument{word("ON"), word("OFF"), word("SKIP")},
		}},
	},
	{
		Name: "no-evict", Summary: "Accepted for compatibility: connections are not evicted.",
		Since: "7.0.0", Complexity: constant,
		Arity: 3, Flags: operator, Categories: ConnectionCategory, Arguments: []Argument{onOffArg},
	},
	{
		Name: "no-touch", Summary: "Accepted for compatibility: nothing here keeps times of access.",
		Since: "7.2.0", Complexity: constant,
		Arity: 3, Flags: onClient, Categories: ConnectionCategory, Arguments: []Argument{onOffArg},
	},
	withConnection(helpFor("5.0.0")),
}

func withConnection(s *Spec) *Spec {
	s.Categories |= ConnectionCategory
	return s
}

var serverCommands = []Spec{
	{
		Name: "command", Summary: "Describes all commands.", Since: "2.8.13", Complexity: perCommand,
		Arity: -1, Flags: always, Categories: ConnectionCategory, Tips: []string{"nondeterministic_output_order"},
		Subcommands: commandSubcommands,
	},
	{
		Name: "info", Summary: "Describes this node and its cluster.", Since: "1.0.0", Complexity: constant,
		Arity: -1, Flags: always, Categories: DangerousCategory,
		Tips:      []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
		Arguments: []Argument{{Name: "section", Type: "string", Optional: true, Multiple: true}},
	},
	{
		Name: "config", Summary: "Commands about the settings of this node.", Since: "2.0.0",
		Complexity: "Depends on the subcommand.", Arity: -2,
		Subcommands: []*Spec{
			{
				Name: "get", Summary: "Returns settings whose names match patterns.", Since: "2.0.0",
				Complexity: "O(N) where N is the number of settings asked for.",
				Arity:      -3, Flags: operator,
				Arguments: []Argument{{Name: "parameter", Type: "string", Multiple: true}},
			},
			{
				Name: "set", Summary: "Changes settings, where they can be changed in a running node.", Since: "2.0.0",
				Complexity: "O(N) where N is the number of settings given.",
				Arity:      -4, Flags: operator,
				Tips: []string{"request_policy:all_nodes", "response_policy:all_succeeded"},
				Arguments: []Argument{{Name: "data", Type: "block", Multiple: true, Arguments: []Argument{
					{Name: "parameter", Type: "string"}, {Name: "value", Type: "string"},
				}}},
			},
			{
				Name: "rewrite", Summary: "Refused: settings are not written back to their file.",
				Since: "2.8.0", Complexity: constant, Arity: 2, Flags: operator,
			},
			{
				Name: "resetstat", Summary: "Sets the counters of INFO back to zero.",
				Since: "2.0.0", Complexity: constant, Arity: 2, Flags: operator,
			},
			helpFor("5.0.0"),
		},
	},
	{
		Name: "dbsize", Summary: "Returns the number of keys.", Since: "1.0.0", Complexity: constant,
		Arity: 1, Flags: ReadOnly | Fast, Where: Cluster, Categories: KeyspaceCategory,
		Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
	},
	{
		Name: "flushall", Summary: "Removes all keys.", Since: "1.0.0",
		Complexity: "O(N) where N is the number of tablets.",
		Arity:      -1, Flags: Write, Where: Cluster, Categories: KeyspaceCategory | DangerousCategory,
		Tips:      []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Arguments: []Argument{flushArg},
	},
	{
		Name: "flushdb", Summary: "Removes all keys; the same as FLUSHALL.", Since: "1.0.0",
		Complexity: "O(N) where N is the number of tablets.",
		Arity:      -1, Flags: Write, Where: Cluster, Categories: KeyspaceCategory | DangerousCategory,
		Tips:      []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Arguments: []Argument{flushArg},
	},
	{
		Name: "time", Summary: "Returns the time of this node's clock.", Since: "2.6.0", Complexity: constant,
		Arity: 1, Flags: always | Fast, Tips: tipUnordered,
	},
	{
		Name: "wait", Summary: "Returns how many other replicas certainly hold the writes of this connection.",
		Since: "3.0.0", Complexity: constant,
		Arity: 3, Flags: NoScript, Categories: ConnectionCategory,
		Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
		Arguments: []Argument{
			{Name: "numreplicas", Type: "integer"}, {Name: "timeout", Type: "integer"},
		},
	},
}

var commandSubcommands = []*Spec{
	{
		Name: "count", Summary: "Returns the number of commands.", Since: "2.8.13", Complexity: constant,
		Arity: 2, Flags: always, Categories: ConnectionCategory,
	},
	{
		Name: "docs", Summary: "Documents commands.", Since: "7.0.0", Complexity: perCommand,
		Arity: -2, Flags: always, Categories: ConnectionCategory, Tips: []string{"nondeterministic_output_order"},
		Arguments: []Argument{commandsArg},
	},
	{
		Name: "getkeys", Summary: "Returns the keys among the words of a command.", Since: "2.8.13",
		Complexity: "O(N) where N is the number of words.",
		Arity:      -4, Flags: always, Categories: ConnectionCategory,
		Arguments: []Argument{
			{Name: "command", Type: "string"}, {Name: "arg", Type: "string", Multiple: true},
		},
	},
	{
		Name: "info", Summary: "Describes commands in the form of COMMAND.", Since: "2.8.13", Complexity: perCommand,
		Arity: -2, Flags: always, Categories: ConnectionCategory, Tips: []string{"nondeterministic_output_order"},
		Arguments: []Argument{commandsArg},
	},
	{
		Name: "list", Summary: "Returns the names of commands.", Since: "7.0.0", Complexity: perCommand,
		Arity: -2, Flags: always, Categories: ConnectionCategory, Tips: []string{"nondeterministic_output_order"},
		Arguments: []Argument{{
			Name: "filterby", Type: "oneof", Token: "FILTERBY", Optional: true, Arguments: []Argument{
				after("MODULE", Argument{Name: "module-name", Type: "string"}),
				after("ACLCAT", Argument{Name: "category", Type: "string"}),
				after("PATTERN", patternArg),
			},
		}},
	},
	withConnection(helpFor("5.0.0")),
}

var clusterCommands = []Spec{
	{
		Name: "cluster", Summary: "Commands about the cluster.", Since: "3.0.0",
		Complexity: "Depends on the subcommand.", Arity: -2,
		Subcommands: []*Spec{
			{
				Name: "keyslot", Summary: "Returns the hash slot of a key.", Since: "3.0.0",
				Complexity: "O(N) where N is the length of the key.",
				Arity:      3, Flags: Stale, Arguments: []Argument{{Name: "key", Type: "string"}},
			},
			clusterView("info", "Describes the state of the cluster."),
			clusterView("nodes", "Lists the nodes."),
			clusterView("slots", "Lists slots and the nodes that serve them."),
			clusterView("shards", "Lists the groups of nodes and their slots."),
			clusterView("myid", "Returns the identifier of this node."),
			helpFor("5.0.0"),
		},
	},
}

// clusterView is a subcommand that describes the cluster and takes no arguments.
func clusterView(name, summary string) *Spec {
	s := &Spec{
		Name: name, Summary: summary, Since: "3.0.0", Complexity: "O(N) where N is the number of nodes.",
		Arity: 2, Flags: Stale, Tips: tipUnordered,
	}
	switch name {
	case "myid":
		s.Complexity, s.Tips = constant, nil
	case "shards":
		s.Since = "7.0.0"
	}
	return s
}
