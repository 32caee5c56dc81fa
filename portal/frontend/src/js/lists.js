// htmx changes a list (filter, search, page) without a reload. Where the answer is not a list, for
// instance because the session has ended, the address is opened like any link and says so itself.
import "htmx.org/dist/htmx.esm.js";

const open = ({ detail }) => location.assign(detail.pathInfo.requestPath);
document.addEventListener("htmx:responseError", open);
document.addEventListener("htmx:swapError", open);
