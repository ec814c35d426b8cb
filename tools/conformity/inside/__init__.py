"""What runs in the interpreter under test: Python 3.9 and later, nothing but its own library.

- injection: puts the loop under test in the place of asyncio's own
- adaptation: test classes that would build a loop of mocks get the loop under test
- collection: finds the tests of a module and picks those to run
- reporting: tells the parent process of every test, as it begins and as it ends
"""
