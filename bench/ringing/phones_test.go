package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/bench/node"
)

// The phones bring their calls through a tandem, stage by stage, with short
// INVITEs and with long ones.
func TestPhonesThroughTandem(t *testing.T) {
	dir := t.TempDir()
	binary, err := node.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	config, err := writeConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]int{"short": 0, "long": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			n, err := node.Start(binary, config, -1)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(n.Stop)
			if _, err := n.Wait(0, 30*time.Second, "serving"); err != nil {
				t.Fatal(err)
			}
			p, err := newPhones(20, body)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.close)
			for _, s := range []stage{rings, answered, ended} {
				if err := p.all(t.Context(), s, 200); err != nil {
					t.Fatal(err)
				}
				m, err := look(n, "")
				if err != nil {
					t.Fatal(err)
				}
				if m.live != 20 || m.calls <= 0 || m.resident <= 0 || m.inUse <= 0 {
					t.Errorf("stage %d: %+v", s, m)
				}
			}
			if p.odd > 0 {
				t.Errorf("%d strange messages: %s", p.odd, p.first)
			}
		})
	}
}

func TestInvitesAreOfTheirSize(t *testing.T) {
	if n := len(appendInvite(nil, 99_999, offer(0))); n < 850 || n > 950 {
		t.Errorf("%d bytes: carriers send about 900", n)
	}
	for _, size := range []int{8 << 10, 40 << 10, mostBody} {
		if n := len(offer(size)); n > size || n < size-100 {
			t.Errorf("%d bytes: %d", size, n)
		}
		if n := len(appendInvite(nil, 99_999, offer(size))); n > 65_000 {
			t.Errorf("%d bytes and what is added to them: %d", size, n)
		}
	}
	msg := string(appendInvite(nil, 7, offer(0)))
	if _, body, _ := strings.Cut(msg, "\r\n\r\n"); string(value([]byte(msg), "Content-Length")) != strconv.Itoa(len(body)) || len(body) == 0 {
		t.Error(len(body), msg)
	}
}
