"""What protocols see of the loop: real asyncio transports."""
