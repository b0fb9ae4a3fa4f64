package main

import (
	"tandem/config"
	"tandem/router"
)

// policyOf is what of a config the router can change while calls run.
func policyOf(cfg *config.Config) router.Policy {
	p := router.Policy{
		Catalog:     &cfg.Catalog,
		Large:       cfg.Large,
		Failover:    cfg.Failover,
		FailoverSet: cfg.FailoverSet,
		Health:      cfg.Health,
		HealthSet:   cfg.HealthSet,
		Untrusted:   untrustedOf(cfg.Untrusted),
		TryingAfter: cfg.TryingAfter,
	}
	for _, t := range cfg.Trunks {
		p.Trunks = append(p.Trunks, router.Trunk{
			Name: t.Name, Sources: t.Sources, Identities: t.TLS, Strip: t.Strip, Prepend: t.Prepend, Symmetric: t.Symmetric,
			MaxCPS: t.MaxCPS, Burst: t.Burst, Refused: t.Refused, Untrusted: untrustedOf(t.Untrusted), Failover: t.Failover,
		})
	}
	return p
}

func untrustedOf(u config.Untrusted) router.Untrusted {
	if u == config.Drop {
		return router.Drop
	}
	return router.Reject
}

// numbersOf counts the entries that lead somewhere, a range or prefix as one.
func numbersOf(cfg *config.Config) int {
	n := 0
	for i := range cfg.Catalog.Groups {
		n += cfg.Catalog.Groups[i].NumberCount()
	}
	for i := range cfg.Catalog.Connectors {
		n += cfg.Catalog.Connectors[i].NumberCount()
	}
	return n
}
