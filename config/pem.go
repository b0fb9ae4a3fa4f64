package config

// PEM is a place in a config that names files of certificates. The package does
// not open them: they are others' under the same names when they are renewed.
type PEM struct {
	Certificate, Key string // what the node shows, and its key; perhaps one file
	CA               string // or: who may have signed what others show
	Line             int
	Field            string
	KeyLine          int // where Key is written, else as above
	KeyField         string
}

// showing notes where it is written what the node shows.
func (d *decoder) showing(certificate, key node, file, keyFile string) {
	if file == "" {
		return
	}
	p := PEM{Certificate: file, Key: keyFile, Line: certificate.line(), Field: certificate.path, KeyLine: key.line(), KeyField: key.path}
	if key.kind() == missing {
		p.KeyLine, p.KeyField = p.Line, p.Field
	}
	d.pem = append(d.pem, p)
}

// trusting notes where it is written who may have signed.
func (d *decoder) trusting(n node, file string) {
	if file != "" {
		d.pem = append(d.pem, PEM{CA: file, Line: n.line(), Field: n.path})
	}
}
