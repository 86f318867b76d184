//go:build unix && !linux

package main

import "syscall"

// childAttr puts a child into a process group of its own, so that Ctrl-C reaches the parent only, which then stops
// the children in order. Only Linux can also end them when the parent is killed.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
