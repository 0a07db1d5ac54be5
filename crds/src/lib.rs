//! The Gateway API's types, our own kinds, and their YAML.
