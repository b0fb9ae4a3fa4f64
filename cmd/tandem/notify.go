package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how the node does: sd_notify(3), for units of
// Type=notify and Type=notify-reload. Without NOTIFY_SOCKET it says nothing to
// nobody. A message that does not arrive changes nothing for calls, so errors
// go to the log at debug only.
type notifier struct{ log *slog.Logger }

// ready says that the node takes calls, at the start or after a reload, or only
// that its status line is another one: what systemctl status shows.
func (n notifier) ready(status string) { n.send(daemon.SdNotifyReady, statusLine(status)) }

// reloading says that a new config is being read. systemd then waits for ready,
// whether the reload succeeds or not.
func (n notifier) reloading() {
	n.send(daemon.SdNotifyReloading, strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// stopping says that the node drains.
func (n notifier) stopping(status string) { n.send(daemon.SdNotifyStopping, statusLine(status)) }

// watchdog tells systemd at half of the unit's WatchdogSec that the node lives,
// as long as alive says so, until ctx ends. When alive says no, systemd hears
// nothing and in the end restarts the node. Without a watchdog it returns at
// once.
func (n notifier) watchdog(ctx context.Context, alive func() bool) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Debug("systemd: no watchdog", "error", err.Error())
		return
	}
	if limit < 2 { // none, or shorter than two of what a clock counts
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	lives := true
	for {
		was := lives
		if lives = alive(); lives {
			n.send(daemon.SdNotifyWatchdog)
		} else if was {
			n.log.Error("the node hangs: systemd is told nothing until it goes on, and ends it", "watchdog", limit.String())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n notifier) send(lines ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		n.log.Debug("systemd was not told", "what", lines[0], "error", err.Error())
	}
}

// statusLine keeps a text to one line: the next would be a message of its own.
func statusLine(text string) string {
	return "STATUS=" + strings.Join(strings.Fields(text), " ")
}
