package command

const (
	constant = "O(1)"
	perKey   = "O(N) where N is the number of keys."
	perByte  = "O(N) where N is the length of the string that results."
)

// The tips of commands that a client of a cluster may split by key.
var (
	tipShards = []string{"request_policy:multi_shard"}
	tipSum    = []string{"request_policy:multi_shard", "response_policy:agg_sum"}
	tipAll    = []string{"request_policy:multi_shard", "response_policy:all_succeeded"}
	tipMin    = []string{"request_policy:multi_shard", "response_policy:agg_min"}
)

var stringCommands = []Spec{
	{
		Name: "get", Summary: "Returns the string at a key.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg}, Eval: evalGet,
	},
	{
		Name: "set", Summary: "Stores a string at a key, with conditions and an expiry if wanted.",
		Since: "1.0.0", Complexity: constant,
		Arity: -3, Flags: Write | DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update variable_flags",
		Arguments: []Argument{keyArg, valueArg, existenceArg, optional(word("GET")), lifetime("KEEPTTL")},
		Eval:      evalSet,
	},
	{
		Name: "setnx", Summary: "Stores a string at a key that does not exist yet.", Since: "1.0.0", Complexity: constant,
		ReplacedBy: "`SET` with the `NX` argument", DeprecatedSince: "2.6.12",
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "OW insert",
		Arguments: []Argument{keyArg, valueArg}, Eval: evalSetNX,
	},
	{
		Name: "setex", Summary: "Stores a string at a key for some seconds.", Since: "2.0.0", Complexity: constant,
		ReplacedBy: "`SET` with the `EX` argument", DeprecatedSince: "2.6.12",
		Arity: 4, Flags: Write | DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
		Arguments: []Argument{keyArg, secondsArg, valueArg}, Eval: evalSetEX,
	},
	{
		Name: "psetex", Summary: "Stores a string at a key for some milliseconds.", Since: "2.6.0", Complexity: constant,
		ReplacedBy: "`SET` with the `PX` argument", DeprecatedSince: "2.6.12",
		Arity: 4, Flags: Write | DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "OW update",
		Arguments: []Argument{keyArg, millisArg, valueArg}, Eval: evalPSetEX,
	},
	{
		Name: "getset", Summary: "Stores a string at a key and returns what was there.", Since: "1.0.0", Complexity: constant,
		ReplacedBy: "`SET` with the `GET` argument", DeprecatedSince: "6.2.0",
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg, valueArg}, Eval: evalGetSet,
	},
	{
		Name: "getdel", Summary: "Returns the string at a key and removes the key.", Since: "6.2.0", Complexity: constant,
		Arity: 2, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access delete",
		Arguments: []Argument{keyArg}, Eval: evalGetDel,
	},
	{
		Name: "getex", Summary: "Returns the string at a key and changes its expiry.", Since: "6.2.0", Complexity: constant,
		Arity: -2, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg, lifetime("PERSIST")}, Eval: evalGetEX,
	},
	{
		Name: "mget", Summary: "Returns the strings at several keys.", Since: "1.0.0", Complexity: perKey,
		Arity: -2, Flags: ReadOnly | Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keysArg}, Tips: tipShards, Split: Gather, Eval: evalMGet,
	},
	{
		Name: "mset", Summary: "Stores strings at several keys.", Since: "1.0.1", Complexity: perKey,
		Arity: -3, Flags: Write | DenyOOM, First: 1, Last: -1, Step: 2, KeyFlags: "OW update",
		Arguments: []Argument{pairsArg}, Tips: tipAll, Split: All, Eval: evalMSet,
	},
	{
		Name: "msetnx", Summary: "Stores strings at several keys, if none of them exists yet.",
		Since: "1.0.1", Complexity: perKey,
		Arity: -3, Flags: Write | DenyOOM, First: 1, Last: -1, Step: 2, KeyFlags: "OW insert",
		Arguments: []Argument{pairsArg}, Tips: tipMin, Eval: evalMSetNX,
	},
	{
		Name: "append", Summary: "Adds to the end of the string at a key.", Since: "2.0.0", Complexity: perByte,
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW insert",
		Arguments: []Argument{keyArg, valueArg}, Eval: evalAppend,
	},
	{
		Name: "strlen", Summary: "Returns the length of the string at a key.", Since: "2.2.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
		Arguments: []Argument{keyArg}, Eval: evalStrlen,
	},
	{
		Name: "getrange", Summary: "Returns a part of the string at a key.", Since: "2.4.0", Complexity: perByte,
		Arity: 4, Flags: ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg, {Name: "start", Type: "integer"}, {Name: "end", Type: "integer"}},
		Eval:      evalGetRange,
	},
	{
		Name: "substr", Summary: "Returns a part of the string at a key.", Since: "1.0.0", Complexity: perByte,
		ReplacedBy: "`GETRANGE`", DeprecatedSince: "2.0.0",
		Arity: 4, Flags: ReadOnly, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg, {Name: "start", Type: "integer"}, {Name: "end", Type: "integer"}},
		Eval:      evalGetRange,
	},
	{
		Name: "setrange", Summary: "Overwrites a part of the string at a key.", Since: "2.2.0", Complexity: perByte,
		Arity: 4, Flags: Write | DenyOOM, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg, {Name: "offset", Type: "integer"}, valueArg}, Eval: evalSetRange,
	},
	{
		Name: "incr", Summary: "Adds one to the integer at a key.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg}, Eval: evalIncr,
	},
	{
		Name: "decr", Summary: "Subtracts one from the integer at a key.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg}, Eval: evalDecr,
	},
	{
		Name: "incrby", Summary: "Adds to the integer at a key.", Since: "1.0.0", Complexity: constant,
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg, {Name: "increment", Type: "integer"}}, Eval: evalIncrBy,
	},
	{
		Name: "decrby", Summary: "Subtracts from the integer at a key.", Since: "1.0.0", Complexity: constant,
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg, {Name: "decrement", Type: "integer"}}, Eval: evalDecrBy,
	},
	{
		Name: "incrbyfloat", Summary: "Adds to the number at a key.", Since: "2.6.0", Complexity: constant,
		Arity: 3, Flags: Write | DenyOOM | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW access update",
		Arguments: []Argument{keyArg, {Name: "increment", Type: "double"}}, Eval: evalIncrByFloat,
	},
}
