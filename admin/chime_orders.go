package admin

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"tandem/config/catalog"
	"tandem/config/inventory"
)

// orderNumbers adds numbers to the inventory. The order is over at once; it is
// not kept.
func (p *chime) orderNumbers(w http.ResponseWriter, r *http.Request) error {
	m, a, err := p.change(r, "add numbers")
	if err != nil {
		return err
	}
	var body struct {
		E164PhoneNumbers []string `json:"E164PhoneNumbers"`
		ProductType      *string  `json:"ProductType"`
		Name             *string  `json:"Name"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if product := optional(body.ProductType); product != productVoice {
		return invalid("ProductType", "is %q; write %s", printed(product), productVoice)
	}
	if err := notKept("Name", optional(body.Name) != "", "numbers have no names here"); err != nil {
		return err
	}
	entries, err := e164("E164PhoneNumbers", body.E164PhoneNumbers)
	if err != nil {
		return err
	}
	_, refusals, err := m.EditNumbers(r.Context(), a, entries, func(e *inventory.Editor, found []inventory.Found) (inventory.Change, []inventory.NumberRefusal, error) {
		return e.AddNumbers(found, inventory.Owner{})
	})
	if err != nil {
		return err
	}
	sayJSON(w, http.StatusCreated, struct{ PhoneNumberOrder PhoneNumberOrder }{newOrder(entries, refusals, time.Now())})
	return nil
}

// PhoneNumberOrder is what became of an order of numbers.
type PhoneNumberOrder struct {
	CreatedTimestamp    *time.Time
	OrderType           string
	OrderedPhoneNumbers []OrderedPhoneNumber
	PhoneNumberOrderId  string
	ProductType         string
	Status              string
	UpdatedTimestamp    *time.Time
}

// OrderedPhoneNumber is one number of an order.
type OrderedPhoneNumber struct {
	E164PhoneNumber string
	Status          string
}

func newOrder(entries []catalog.Entry, refusals []inventory.NumberRefusal, now time.Time) PhoneNumberOrder {
	failed := make(map[catalog.Entry]bool)
	for _, one := range refusals {
		failed[one.Entry] = true
	}
	o := PhoneNumberOrder{
		CreatedTimestamp: stamp(now), UpdatedTimestamp: stamp(now), OrderType: "New", PhoneNumberOrderId: uuid.NewString(), ProductType: productVoice,
	}
	for _, e := range entries {
		status := "Acquired"
		if failed[e] {
			status = "Failed"
		}
		o.OrderedPhoneNumbers = append(o.OrderedPhoneNumbers, OrderedPhoneNumber{e.String(), status})
	}
	switch len(failed) {
	case 0:
		o.Status = "Successful"
	case len(entries):
		o.Status = "Failed"
	default:
		o.Status = "Partial"
	}
	return o
}
