package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"tandem/config"
)

// renewWithin is how long before its end a certificate is warned of.
const renewWithin = 14 * 24 * time.Hour

// examine opens the files of certificates that a config names. Mistakes keep the
// node from starting; warnings are of certificates that peers refuse, or soon will.
// Each file is told of where it stands first.
func examine(cfg *config.Config, now time.Time) (mistakes, warnings config.Errors) {
	seen := make(map[[3]string]bool)
	for _, p := range cfg.PEM {
		if files := [3]string{p.Certificate, p.Key, p.CA}; seen[files] {
			continue
		} else {
			seen[files] = true
		}
		tell := func(list *config.Errors, line int, field, text string) {
			if text != "" {
				*list = append(*list, config.Error{File: cfg.File, Line: line, Field: field, Text: text})
			}
		}
		if p.CA != "" {
			authorities, err := readCertificates(p.CA)
			tell(&mistakes, p.Line, p.Field, textOf(err))
			if err == nil {
				tell(&warnings, p.Line, p.Field, lifeOfAuthorities(p.CA, authorities, now))
			}
			continue
		}
		certificates, err := readCertificates(p.Certificate)
		if err != nil {
			tell(&mistakes, p.Line, p.Field, textOf(err))
			continue
		}
		tell(&mistakes, p.KeyLine, p.KeyField, textOf(checkKey(p.Certificate, p.Key)))
		tell(&warnings, p.Line, p.Field, lifeOf(p.Certificate, certificates[0], now))
	}
	return mistakes, warnings
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// readCertificates reads those of a PEM file: one or more.
func readCertificates(file string) (all []*x509.Certificate, err error) {
	rest, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue // a key, perhaps
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s holds a certificate that cannot be read (%s); write a file in PEM that has it whole", file, bare(err))
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no certificate in PEM; write the file that has it", file)
	}
	return all, nil
}

func readPEM(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	var path *fs.PathError
	if errors.As(err, &path) {
		return nil, fmt.Errorf("%s cannot be read: %w", file, path.Err)
	}
	return text, err
}

// checkKey says what keeps a key from being that of a certificate.
func checkKey(certificate, key string) error {
	text, err := readPEM(certificate)
	if err != nil {
		return err
	}
	keyText, err := readPEM(key)
	if err != nil {
		return err
	}
	if key == certificate && !bytes.Contains(keyText, []byte("PRIVATE KEY-----")) {
		return fmt.Errorf("%s holds no key; write key: FILE", certificate)
	}
	if _, err := tls.X509KeyPair(text, keyText); err != nil {
		return fmt.Errorf("%s is not the key of %s (%s); write the file that has it, in PEM and without a password", key, certificate, bare(err))
	}
	return nil
}

// bare is an error of Go's crypto without the name of its package.
func bare(err error) string {
	text := err.Error()
	return cmp.Or(strings.TrimPrefix(strings.TrimPrefix(text, "tls: "), "x509: "), text)
}

// lifeOf says what is wrong with a certificate's life: "" when it is good for some
// time.
func lifeOf(file string, c *x509.Certificate, now time.Time) string {
	switch left := c.NotAfter.Sub(now); {
	case now.Before(c.NotBefore):
		return fmt.Sprintf("%s is not valid before %s: peers refuse it until then", file, day(c.NotBefore))
	case left < 0:
		return fmt.Sprintf("%s has expired on %s: peers refuse it; renew it", file, day(c.NotAfter))
	case left < renewWithin:
		return fmt.Sprintf("%s expires on %s, %s; renew it", file, day(c.NotAfter), inDays(now, c.NotAfter))
	}
	return ""
}

// lifeOfAuthorities says what is wrong with the life of those in a file: "" when
// there is nothing to do. A file is good until the last of them ends, since an old
// one stands beside its successor while peers move. But it may have those of several
// peers too, so the next to end is told of by its name. One that has ended beside
// good ones is not: that is over.
func lifeOfAuthorities(file string, all []*x509.Certificate, now time.Time) string {
	byEnd := func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) }
	last := slices.MaxFunc(all, byEnd)
	good := slices.DeleteFunc(slices.Clone(all), func(c *x509.Certificate) bool { return now.Before(c.NotBefore) || now.After(c.NotAfter) })
	switch left := last.NotAfter.Sub(now); {
	case left < 0:
		return fmt.Sprintf("%s has expired on %s: peers with its certificates are refused; put its successor there", file, day(last.NotAfter))
	case len(good) == 0:
		return fmt.Sprintf("%s is not valid before %s: peers with its certificates are refused until then", file, day(last.NotBefore))
	case left < renewWithin:
		return fmt.Sprintf("%s expires on %s, %s: peers with its certificates are refused then; put its successor there", file, day(last.NotAfter), inDays(now, last.NotAfter))
	}
	if next := slices.MinFunc(good, byEnd); next.NotAfter.Sub(now) < renewWithin {
		return fmt.Sprintf("%s: %q in it expires on %s, %s: peers with its certificates are refused then, those of others in the file are not",
			file, cmp.Or(next.Subject.CommonName, next.Subject.String()), day(next.NotAfter), inDays(now, next.NotAfter))
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// inDays is how far off an end is, as people say it.
func inDays(now, end time.Time) string {
	switch days := end.Sub(now) / (24 * time.Hour); {
	case days > 1:
		return fmt.Sprintf("in %d days", days)
	case days == 1:
		return "in 1 day"
	case now.UTC().YearDay() != end.UTC().YearDay():
		return "tomorrow"
	}
	return "today"
}
