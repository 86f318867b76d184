package command

// ownCommands are Quord's own, known by their prefix. Their Since is a version of Quord.
var ownCommands = []Spec{
	{
		Name: "quord.get", Summary: "Returns the value of a key; R is for quorum keyspaces.",
		Since: "0.1.0", Complexity: constant,
		Arity: -2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg, optional(after("R", Argument{Name: "replicas", Type: "integer"}))},
		Eval:      evalQuordGet,
	},
	{
		Name: "quord.put", Summary: "Stores a value at a key; W is for quorum keyspaces.",
		Since: "0.1.0", Complexity: constant,
		Arity: -3, Flags: Write | DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
		Arguments: []Argument{keyArg, valueArg, optional(after("W", Argument{Name: "replicas", Type: "integer"}))},
		Eval:      evalQuordPut,
	},
	{
		Name: "quord.del", Summary: "Removes a key; W is for quorum keyspaces.",
		Since: "0.1.0", Complexity: constant,
		Arity: -2, Flags: Write, First: 1, Last: 1, Step: 1, KeyFlags: "RM delete",
		Arguments: []Argument{keyArg, optional(after("W", Argument{Name: "replicas", Type: "integer"}))},
		Eval:      evalQuordDel,
	},
	{
		// The key of QUORD.LOOKUP is not one whose tablet serves the command: any node answers.
		Name: "quord.lookup", Summary: "Says where a key lies, and how the ring found it.",
		Since: "0.1.0", Complexity: "O(log N) hops, where N is the number of nodes.",
		Arity: -2, Flags: Loading | Stale, Where: Cluster,
		Arguments: []Argument{
			{Name: "key", Type: "string"}, choice("mode", word("ITERATIVE"), word("RECURSIVE")),
		},
	},
	{
		Name: "quord.ring", Summary: "Describes the nodes in ring order.",
		Since: "0.1.0", Complexity: "O(N) where N is the number of nodes.",
		Arity: 1, Flags: Loading | Stale, Where: Cluster,
	},
	{
		Name: "quord.status", Summary: "Says whether the cluster is healthy, and why not.",
		Since: "0.1.0", Complexity: "O(N) where N is the number of tablets.",
		Arity: 1, Flags: Loading | Stale, Where: Cluster,
	},
	{
		Name: "quord.leave", Summary: "Makes this node hand everything over and stop.",
		Since: "0.1.0", Complexity: "O(N) where N is the amount of data that the node holds.",
		Arity: -1, Flags: operator, Where: Cluster, Arguments: []Argument{dryRunArg},
	},
	{
		Name: "quord.remove", Summary: "Declares that a dead node is gone for good.",
		Since: "0.1.0", Complexity: "O(N) where N is the amount of data that the node held.",
		Arity: -2, Flags: operator, Where: Cluster, Arguments: []Argument{nodeArg, dryRunArg},
	},
	{
		Name: "quord.replace", Summary: "Removes a dead node where enough others are up to hold every copy.",
		Since: "0.1.0", Complexity: "O(N) where N is the amount of data that the node held.",
		Arity: -2, Flags: operator, Where: Cluster, Arguments: []Argument{nodeArg, dryRunArg},
	},
}

// internalCommands are what the front end and the node ask of a tablet. They have no keys: the sender names the
// tablet.
var internalCommands = []Spec{
	{
		Name: "_len", Summary: "Returns the number of keys of the tablet.", Since: "0.1.0", Complexity: constant,
		Arity: 1, Flags: ReadOnly | Internal, Eval: evalLen,
	},
	{
		Name: "_scan", Summary: "Returns a cursor and the next keys of the tablet.", Since: "0.1.0",
		Complexity: "O(COUNT)", Arity: -2, Flags: ReadOnly | Internal, Eval: evalScan,
	},
	{
		Name: "_clear", Summary: "Removes all keys of the tablet.", Since: "0.1.0", Complexity: constant,
		Arity: 1, Flags: Write | Internal, Eval: evalClear,
	},
}
