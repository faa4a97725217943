//! Every metric of the agent, and the page that shows them.
