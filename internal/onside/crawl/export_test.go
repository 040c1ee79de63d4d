package crawl

// Step visits one page of a crawl, as its job does again and again.
var Step = (*Service).step
