// Package tools is the module of the programs that look after Quord's code: gofumpt, staticcheck and benchstat, in
// the versions that go.mod pins. They stand in a module of their own so that nobody who imports Quord inherits them.
// The scripts beside this file are what the Makefile calls. It holds no code.
package tools
