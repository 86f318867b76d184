package command

var tipUnordered = []string{"nondeterministic_output"}

var genericCommands = []Spec{
	{
		Name: "del", Summary: "Removes keys.", Since: "1.0.0", Complexity: perKey,
		Arity: -2, Flags: Write, First: 1, Last: -1, Step: 1, KeyFlags: "RM delete",
		Arguments: []Argument{keysArg}, Tips: tipSum, Split: Sum, Eval: evalDel,
	},
	{
		Name: "unlink", Summary: "Removes keys; the same as DEL.", Since: "4.0.0", Complexity: perKey,
		Arity: -2, Flags: Write | Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RM delete",
		Arguments: []Argument{keysArg}, Tips: tipSum, Split: Sum, Eval: evalDel,
	},
	{
		Name: "exists", Summary: "Counts how many of the named keys exist.", Since: "1.0.0", Complexity: perKey,
		Arity: -2, Flags: ReadOnly | Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
		Arguments: []Argument{keysArg}, Tips: tipSum, Split: Sum, Eval: evalExists,
	},
	{
		Name: "touch", Summary: "Counts how many of the named keys exist; nothing here keeps times of access.",
		Since: "3.2.1", Complexity: perKey,
		Arity: -2, Flags: ReadOnly | Fast, First: 1, Last: -1, Step: 1, KeyFlags: "RO",
		Arguments: []Argument{keysArg}, Tips: tipSum, Split: Sum, Eval: evalExists,
	},
	{
		Name: "type", Summary: "Returns what kind of value a key holds.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO",
		Arguments: []Argument{keyArg}, Eval: evalType,
	},
	{
		Name: "expire", Summary: "Lets a key expire after some seconds.", Since: "1.0.0", Complexity: constant,
		Arity: -3, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg, secondsArg, ttlChangeArg}, Eval: evalExpire,
	},
	{
		Name: "pexpire", Summary: "Lets a key expire after some milliseconds.", Since: "2.6.0", Complexity: constant,
		Arity: -3, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg, millisArg, ttlChangeArg}, Eval: evalPExpire,
	},
	{
		Name: "expireat", Summary: "Lets a key expire at a Unix time.", Since: "1.2.0", Complexity: constant,
		Arity: -3, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg, unixArg, ttlChangeArg}, Eval: evalExpireAt,
	},
	{
		Name: "pexpireat", Summary: "Lets a key expire at a Unix time in milliseconds.", Since: "2.6.0", Complexity: constant,
		Arity: -3, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg, unixMillisArg, ttlChangeArg}, Eval: evalPExpireAt,
	},
	{
		Name: "ttl", Summary: "Returns the seconds until a key expires.", Since: "1.0.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg}, Tips: tipUnordered, Eval: evalTTL,
	},
	{
		Name: "pttl", Summary: "Returns the milliseconds until a key expires.", Since: "2.6.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg}, Tips: tipUnordered, Eval: evalPTTL,
	},
	{
		Name: "expiretime", Summary: "Returns the Unix time at which a key expires.", Since: "7.0.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg}, Eval: evalExpireTime,
	},
	{
		Name: "pexpiretime", Summary: "Returns the Unix time in milliseconds at which a key expires.",
		Since: "7.0.0", Complexity: constant,
		Arity: 2, Flags: ReadOnly | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RO access",
		Arguments: []Argument{keyArg}, Eval: evalPExpireTime,
	},
	{
		Name: "persist", Summary: "Lets a key stay for good.", Since: "2.2.0", Complexity: constant,
		Arity: 2, Flags: Write | Fast, First: 1, Last: 1, Step: 1, KeyFlags: "RW update",
		Arguments: []Argument{keyArg}, Eval: evalPersist,
	},
	{
		Name: "scan", Summary: "Goes through all keys, some at a time.", Since: "2.8.0",
		Complexity: "O(COUNT) for each call.",
		Arity:      -2, Flags: ReadOnly, Where: Cluster,
		Tips: []string{"nondeterministic_output", "request_policy:special"},
		Arguments: []Argument{
			{Name: "cursor", Type: "integer"},
			optional(after("MATCH", patternArg)),
			optional(after("COUNT", Argument{Name: "count", Type: "integer"})),
			optional(after("TYPE", Argument{Name: "type", Type: "string"})),
		},
	},
	{
		Name: "keys", Summary: "Returns all keys that match a pattern.", Since: "1.0.0",
		Complexity: "O(N) where N is the number of all keys.",
		Arity:      2, Flags: ReadOnly, Where: Cluster, Categories: DangerousCategory,
		Tips:      []string{"request_policy:all_shards", "nondeterministic_output_order"},
		Arguments: []Argument{patternArg},
	},
}
