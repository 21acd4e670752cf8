"""The source of rotation functions, which run as Lambda functions and import nothing of Casemate.

``casemate rotation install NAME`` zips a folder ``rotation`` of these modules and the database's driver. A
function is one way of rotating (``single_user``, ``alternating_users``) and one kind of database (``postgres``,
``mysql``, ``mongodb``).
"""
