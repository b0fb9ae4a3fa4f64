package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tandem/config"
)

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the proxy in the foreground",
		Long: `Run the proxy in the foreground. Logs are JSON lines on standard error.

SIGTERM and SIGINT drain: new calls get 503, set-ups finish, at most for
drain_timeout; a second signal ends at once. SIGHUP reloads the config: calls
under way go on as they began, and a file with mistakes changes nothing. The
exit code is 2 when the config is wrong, 1 when something else is.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), path, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the config file")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}

// serve runs a node until a signal, or until ctx ends.
func serve(ctx context.Context, path string, stderr io.Writer) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	log := slog.New(slog.NewJSONHandler(stderr, nil))
	memory := tellCollector() // before the numbers are read
	cfg, err := loadLogged(path, log)
	if err != nil {
		return exitError{exitConfig, err}
	}
	mistakes, dates := examine(cfg, time.Now())
	if len(mistakes) > 0 {
		return exitError{exitConfig, mistakes}
	}
	for _, w := range slices.Concat(cfg.Warnings, dates) {
		log.Warn("config: "+w.Text, "file", w.File, "line", w.Line, "field", w.Field)
	}
	log.Info("memory", memory...)
	n, err := newNode(cfg, log)
	if err != nil {
		return err
	}

	stop, drain := context.WithCancel(ctx)
	defer drain()
	kill, end := context.WithCancel(context.Background())
	defer end()
	done := make(chan struct{})
	var ear sync.WaitGroup
	ear.Go(func() { hear(signals, done, log, n.reload.ask, drain, end) })
	err = n.run(stop, kill)
	close(done)
	ear.Wait()
	return err
}

// loadLogged loads a config; what takes long is logged.
func loadLogged(path string, log *slog.Logger) (*config.Config, error) {
	return config.LoadWith(path, config.Options{Progress: func(file string, numbers int) {
		log.Info("reading numbers", "file", file, "numbers", numbers)
	}})
}

// hear acts on signals until done is closed: the first one to stop drains, the
// second ends.
func hear(signals <-chan os.Signal, done <-chan struct{}, log *slog.Logger, reload func(why string), drain, end context.CancelFunc) {
	draining := false
	for {
		select {
		case <-done:
			return
		case sig := <-signals:
			switch {
			case sig == syscall.SIGHUP:
				reload("SIGHUP")
			case draining:
				log.Warn("second signal: ending at once", "signal", sig.String())
				end()
			default:
				log.Info("draining", "signal", sig.String())
				draining = true
				drain()
			}
		}
	}
}
