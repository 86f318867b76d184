package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/quorddb/quord/internal/config"
)

// closeWithin bounds an orderly stop. Past it the process ends all the same: nothing that was acknowledged depends
// on the rest.
const closeWithin = 30 * time.Second

func (a *app) serve() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a node until SIGTERM or SIGINT",
		Long: "Run a node until SIGTERM or SIGINT.\n\n" +
			"Every flag is also an environment variable (QUORD_PEER_ADDR for --peer-addr) and a key of the YAML file that\n" +
			"--config names; a flag goes before the environment, the environment before the file.\n\n" +
			"An empty directory needs --init (a new cluster) or --join (a member's peer address). With neither, it becomes a\n" +
			"new cluster where all addresses are loopback. A directory that is in use goes on as the node that it was.",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(cmd.Flags(), a.environ)
			if err != nil {
				return err
			}
			return a.runNode(cmd.Context(), cfg)
		},
	}
	config.Flags(cmd.Flags())
	cmd.Flags().SortFlags = false
	return cmd
}

// runNode runs one node until ctx ends or the node stops by itself.
func (a *app) runNode(ctx context.Context, cfg config.Serve) error {
	tuneCollector(cfg)
	log := newLogger(a.err, cfg)
	if cfg.Exposed() {
		log.Warn("no password is set and not all addresses are loopback: anybody who reaches them can read and change everything",
			"addr", cfg.Addr, "peer_addr", cfg.PeerAddr, "http_addr", cfg.HTTPAddr)
	}
	n, err := a.open(ctx, cfg, log)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			log.Info("stopped before the node was a member")
			return nil
		}
		return fmt.Errorf("start the node: %w", err)
	}
	fmt.Fprintln(a.out, n.Banner())

	ended := make(chan error, 1)
	go func() { ended <- n.Wait() }()
	select {
	case err := <-ended:
		return errors.Join(err, closeNode(n))
	case <-ctx.Done():
		log.Info("stopping", "at_most", closeWithin.String())
		return closeNode(n)
	}
}

// tuneCollector lets the heap grow to five times what is live before it is collected, within the memory that the node may
// use: live data is small beside the caches, and most garbage is that of requests. GOGC and GOMEMLIMIT go before it.
func tuneCollector(cfg config.Serve) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(cfg.Memory))
	}
}

func closeNode(n runningNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		return fmt.Errorf("stop the node: %w", err)
	}
	return nil
}

// newLogger writes text for people and JSON for machines.
func newLogger(w io.Writer, cfg config.Serve) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.LogLevel}
	switch {
	case cfg.LogFormat != "json" && isTerminal(w):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: cfg.LogLevel, TimeFormat: "15:04:05.000"}))
	case cfg.LogFormat == "text":
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
