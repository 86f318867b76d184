// Package config turns flags, environment and a file into the settings of a node, and says what is wrong with them.
//
// It owns the names, defaults and limits of every setting of `quord serve`. One table (settings.go) declares them;
// the flag --request-timeout, the variable QUORD_REQUEST_TIMEOUT and the YAML key request-timeout are one setting.
// Precedence: flag, environment, file, default. What the file or the environment names and no setting has is an
// error, as is an impossible value: an *Error says which setting, which value, where it came from and what is
// allowed. All errors are collected, so that they can be mended in one go.
//
// It refuses to touch anything: the only things it reads are the file named by --config and, for the default of
// --memory, what the machine says about its size. Whether the data directory is empty is for the caller to find
// out; Serve.Start then says what that means. Not safe for concurrent use until Load has returned; a Serve is a
// value that nobody changes afterwards.
package config
