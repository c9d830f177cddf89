"""What runs inside: the worker's own code. It imports the standard library only, because nothing else can be seen from there.

worker.py     shuts the door (namespaces, an empty file system), then makes a box for each program
box.py        one program's box: its own processes, scratch and limits; what it may ask of the kernel
program.py    runs the program in its box
examiner.py   runs the tests in another box, and asks the program's by messages
queries.py    compares a query with a gold query, in a box
values.py     those messages: plain values, no pickle
kernel.py     calls of the kernel that Python has no function for
calls.py      which calls of the kernel a program may make
"""
