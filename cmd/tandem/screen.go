package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// screen is where a command writes, and what is known of it.
type screen struct {
	out      io.Writer
	terminal bool
	colours  bool
	height   func() int // in lines; 0: not known
}

// newScreen looks at what out is. Colours are for terminals, and not where
// NO_COLOR is set (no-color.org).
func newScreen(out io.Writer) *screen {
	s := &screen{out: out, height: func() int { return 0 }}
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return s
	}
	s.terminal = true
	s.colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	s.height = func() int {
		_, height, err := term.GetSize(int(file.Fd()))
		if err != nil {
			return 0
		}
		return height
	}
	return s
}

// begin clears the terminal, hides the cursor, and lets long lines be cut.
func (s *screen) begin() error {
	_, err := io.WriteString(s.out, "\x1b[?25l\x1b[?7l\x1b[2J")
	return err
}

// end undoes what begin did, and leaves what was drawn last.
func (s *screen) end() { _, _ = io.WriteString(s.out, "\x1b[?7h\x1b[?25h") }

// draw puts a text in the place of the last one. Each line is overwritten rather
// than the screen cleared, which would flicker.
func (s *screen) draw(text string) error {
	_, err := io.WriteString(s.out, "\x1b[H"+strings.ReplaceAll(fitLines(text, s.height()), "\n", "\x1b[K\n")+"\x1b[J")
	return err
}

// fitLines is the beginning of a text, as many lines as there is room for above
// an empty one.
func fitLines(text string, height int) string {
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // what is behind the last line
	if height < 3 || len(lines) < height {
		return text
	}
	room := height - 2
	return strings.Join(lines[:room], "") + fmt.Sprintf("and %d more lines\n", len(lines)-room)
}
