package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tandem/config"
	"tandem/config/catalog"
)

// pageOfNumbers is how many numbers a node takes at a time.
const pageOfNumbers = 10_000

// numberSource is the numbers that a command is given: by its arguments, then by
// a file.
type numberSource struct {
	args []catalog.Entry
	file string // "" for none
	all  []byte // the file where it can be read only once, else nil
	text string // how messages call the file
}

// page is some of the numbers, in their order.
type page struct {
	numbers     []string
	first, last int // lines, where they are of a file; else 0
}

// addFile gives a command the flag for numbers from a file.
func (s *numberSource) addFile(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.file, "file", "f", "", "a file of numbers, one a line or the first column of a CSV, as a numbers_file; - is standard input")
}

// read reads the arguments, and the file once to find its mistakes before
// anything is changed. It returns how many numbers there are.
func (s *numberSource) read(args []string, stdin io.Reader) (total int, err error) {
	for _, text := range args {
		e, err := parseNumber(text)
		if err != nil {
			return 0, err
		}
		s.args = append(s.args, e)
	}
	if err := s.keep(stdin); err != nil {
		return 0, err
	}
	var wrong []string
	mistakes := 0
	err = s.each(func(line int, _ catalog.Entry, no error) error {
		if no == nil {
			total++
		} else if mistakes++; mistakes <= catalog.MaxNamed {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s", s.text, line, printable(no.Error())))
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case mistakes > catalog.MaxNamed:
		wrong = append(wrong, fmt.Sprintf("and %d more like these", mistakes-catalog.MaxNamed))
		fallthrough
	case mistakes > 0:
		return 0, errors.New(strings.Join(append(wrong, "nothing is changed"), "\n"))
	case total == 0:
		return 0, errors.New("there are no numbers: give them as arguments, or a file of them by --file")
	}
	return total, nil
}

// parseNumber reads a number, a range or a prefix of the command line.
func parseNumber(text string) (catalog.Entry, error) {
	e, err := catalog.ParseEntry([]byte(text))
	if err == nil {
		return e, nil
	}
	if why := err.Error(); strings.HasPrefix(why, "is ") || strings.HasPrefix(why, "has ") { // of a field, in a file
		err = fmt.Errorf("%q %w", text, err)
	}
	return e, err
}

// keep keeps what can be read only once: standard input, a pipe.
func (s *numberSource) keep(stdin io.Reader) (err error) {
	s.text = s.file
	if s.file == "-" {
		s.text = "standard input"
		s.all, err = io.ReadAll(stdin)
		return err
	}
	if info, err := os.Stat(s.file); err == nil && !info.Mode().IsRegular() {
		s.all, err = os.ReadFile(s.file)
		return err
	}
	return nil
}

// each calls f for each number, and for each line of the file that holds none,
// until f returns an error.
func (s *numberSource) each(f func(line int, e catalog.Entry, wrong error) error) error {
	for _, e := range s.args {
		if err := f(0, e, nil); err != nil {
			return err
		}
	}
	if s.file == "" {
		return nil
	}
	in := io.Reader(bytes.NewReader(s.all))
	if s.all == nil {
		file, err := os.Open(s.file)
		if err != nil {
			return err // it names the file
		}
		defer file.Close()
		in = file
	}
	enough := errors.New("f wants no more")
	var failed error
	err := config.ReadNumbers(in, func(line int, e catalog.Entry, wrong error) error {
		if failed = f(line, e, wrong); failed != nil {
			return enough
		}
		return nil
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", s.text, err)
	}
	return nil
}

// pages calls f for the numbers, as many at a time as a node takes.
func (s *numberSource) pages(f func(p *page) error) error {
	p := &page{}
	err := s.each(func(line int, e catalog.Entry, wrong error) error {
		if wrong != nil {
			return fmt.Errorf("%s:%d: %w; it was another when it was read first", s.text, line, wrong)
		}
		if p.numbers = append(p.numbers, e.String()); p.first == 0 {
			p.first = line
		}
		p.last = line
		if len(p.numbers) < pageOfNumbers {
			return nil
		}
		err := f(p)
		*p = page{numbers: p.numbers[:0]}
		return err
	})
	if err != nil || len(p.numbers) == 0 {
		return err
	}
	return f(p)
}

// where says which part of the numbers a page is.
func (s *numberSource) where(p *page) string {
	if p.last == 0 {
		return "of the arguments"
	}
	return fmt.Sprintf("to line %d of %s", p.last, s.text)
}
