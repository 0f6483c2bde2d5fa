"""The aiohttp bridge that takes Twilio's webhooks."""
