package peer

// What is built in this module and told where to listen and to forward to.

func startSipgo(s Settings, k kind) (*Process, error) { return startProgram(s, k, "./sipgoproxy") }

func startFloor(flags ...string) func(Settings, kind) (*Process, error) {
	return func(s Settings, k kind) (*Process, error) { return startProgram(s, k, "./floor", flags...) }
}

func startProgram(s Settings, k kind, program string, flags ...string) (*Process, error) {
	dir, err := s.directory(k.name)
	if err != nil {
		return nil, err
	}
	binary, err := s.build(s.Bench, program)
	if err != nil {
		return nil, err
	}
	flags = append(flags, "-listen", k.addr.String(), "-connector", Connectors[0].String())
	return Start(s.Work, s.CPU, dir, binary, flags...)
}
