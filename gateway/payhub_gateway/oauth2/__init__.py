"""The OAuth2 server: FAPI 2.0 Security Profile on Authlib. Read docs/oauth2.md first."""
